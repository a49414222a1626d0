"""Small models with random weights and a tokenizer that is trained on the training texts.

Their directories have the layout of a downloaded model, so `from_pretrained` loads them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.normalizers import BertNormalizer
from tokenizers.processors import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from aligners.configuration.kinds.training import FromScratch
from aligners.core.errors import UserError
from aligners.core.rows import atomic_path
from aligners.models.pretrained import silence_transformers

END_OF_TEXT = "<|endoftext|>"
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_causal_model(shape: FromScratch, texts: Sequence[str], directory: Path, seed: int) -> None:
    """Write a causal language model with random weights and a byte-level BPE tokenizer.

    Args:
        shape: the recipe's `from_scratch`: model_type, vocabulary_size, config.
        texts: training data of the tokenizer.
        directory: of the model; written atomically.

    Raises:
        UserError: transformers cannot make a model of this shape.
    """
    tokenizer = train_byte_tokenizer(texts, shape.vocabulary_size)
    make_model(AutoModelForCausalLM, tokenizer, shape, directory, seed)


def make_classifier(shape: FromScratch, texts: Sequence[str], directory: Path, seed: int) -> None:
    """Write a two-label classifier with random weights and a WordPiece tokenizer.

    Arguments and errors are the same as of `make_causal_model`.
    """
    tokenizer = train_wordpiece_tokenizer(texts, shape.vocabulary_size)
    make_model(AutoModelForSequenceClassification, tokenizer, shape, directory, seed)


def make_model(
    auto_class: Any,
    tokenizer: PreTrainedTokenizerBase,
    shape: FromScratch,
    directory: Path,
    seed: int,
) -> None:
    """Write a model with random weights and its tokenizer to a directory."""
    try:
        config = AutoConfig.for_model(
            shape.model_type,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **shape.config,
        )
        set_seed(seed)
        silence_transformers()
        model = auto_class.from_config(config)
    except (ValueError, TypeError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(
            f"from_scratch: transformers cannot make a model of type {shape.model_type!r} "
            f"with this config: {first_line}; correct model_type or config in the recipe"
        ) from None
    with atomic_path(directory) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def train_byte_tokenizer(texts: Sequence[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer like that of GPT-2, which can encode any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def train_wordpiece_tokenizer(texts: Sequence[str], vocabulary_size: int) -> BertTokenizer:
    """Train a lower-case WordPiece tokenizer like that of BERT.

    The result depends only on the texts. By default the trainer numbers the characters within words
    in the order of a hash table, which differs between processes, and it breaks ties by number. So
    this function passes these characters as special tokens, in sorted order.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = {
        word
        for text in texts
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
            tokenizer.normalizer.normalize_str(text)
        )
    }
    within = sorted({f"##{character}" for word in words for character in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size, special_tokens=[*BERT_TOKENS, *within], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # With a vocabulary file instead of `vocab`, the tokenizer would silently have five tokens.
    return BertTokenizer(vocab=tokenizer.get_vocab())
