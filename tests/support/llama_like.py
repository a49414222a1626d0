"""A tokenizer like that of Llama 2 and Mistral: a start token, and a visible space before texts."""

import string

from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast


def llama_like_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer whose ordinary tokens are single characters."""
    characters = ["\u2581", "\n", *string.ascii_letters, *string.digits, *string.punctuation]
    vocabulary = {token: id for id, token in enumerate(["<s>", "</s>", "<unk>", *characters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
