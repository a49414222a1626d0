"""Functions of wildcards, by rules file: inputs, outputs and params that depend on the job."""

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.external import ExternalRecipe
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.llms import LLMRecipe

# inspectors.smk, aligners.smk, squads.smk and aligned.smk


def training_seed(field):
    """Return the function for the seed of the model that a wildcard names."""

    def seed(wildcards):
        return seed_of(wildcards[field], SEEDS)

    return seed


def recipe_name(field):
    """Return the function for the recipe of the model that a wildcard names.

    Snakemake does not compare params that depend on resources: the fingerprint has the recipe.
    """

    def recipe(wildcards, resources):
        return recipe_of(wildcards[field])

    return recipe


# aligners.smk and aligned.smk


def principles(wildcards):
    """Return the text of the principles that a job's aligner reads, by criterion."""
    return {
        criterion: numbered(load_principles(criterion)) for criterion in criteria_read(wildcards)
    }


def responds_in_first_sentences(wildcards):
    """Return whether only the first sentence of the LLM's responses is kept, as in the paper."""
    return load_recipe(LLMRecipe, wildcards.llm).responses.first_sentence


def criteria_read(wildcards):
    """Return the criteria whose principles a job's aligner reads: all if conditioned, else none."""
    names = [wildcards.get("aligner"), wildcards.get("system")]
    return CRITERIA if any(map(is_conditioned, names)) else []


# own_data.smk


def import_names(wildcards):
    """Return the imports that a criterion uses, in their order."""
    return imports_of(CONFIG, wildcards.criterion)


def imports_read(wildcards):
    """Return the rows of the imports that a criterion uses."""
    return EXPERIMENT.files(results.IMPORTED, imported=import_names(wildcards))


def teacher_questions(wildcards):
    """Return the questions that the teacher writes for a criterion: one file or none."""
    return [results.QUESTIONS] if wildcards.criterion in GENERATED else []


# pairs.smk and split.smk


def criterion_questions(wildcards):
    """Return the files of a criterion's questions: of the teacher, and its own data."""
    own = [results.OWN_DATA] if wildcards.criterion in IMPORTING else []
    return [*teacher_questions(wildcards), *own]


def pairs_of_teacher(wildcards):
    """Return the shards of the teacher's pairs, if it writes some for the criterion."""
    if wildcards.criterion not in CORRECTED:
        return {"shards": [], "beside": []}
    return shards_of(
        results.PAIRS_SHARD.fill(criterion=wildcards.criterion), config["shards"]["pairs"]
    )


# split.smk


def earlier_splits(wildcards):
    """Return the splits of the criteria that come before this one in the configuration."""
    earlier = CRITERIA[: CRITERIA.index(wildcards.criterion)]
    return EXPERIMENT.files(results.SPLIT, criterion=earlier)


# training_sets.smk


def pairs_for_aligner(wildcards):
    """Return the pairs of a criterion, with similarities if an import has a bound of them.

    Without a bound, aligners do not depend on the encoder.
    """
    return results.SIMILARITY if least_similarities(wildcards) else results.FILTERED_PAIRS


def least_similarities(wildcards):
    """Return the bound of the similarity of each import of preferences that has one."""
    recipes = {name: load_recipe(ImportRecipe, name) for name in import_names(wildcards)}
    return {
        name: recipe.least_similarity
        for name, recipe in recipes.items()
        if recipe.least_similarity is not None
    }


def least_similarities_json(wildcards):
    """Return `least_similarities` as JSON."""
    return json.dumps(least_similarities(wildcards))


def labels_of(wildcards):
    """Return the labelled rows of a criterion: one file or none."""
    return [results.FILTERED_LABELS] if wildcards.criterion in LABELLED else []


def training_set(kind):
    """Return the outputs of a training set: a file for each side, counts and dropped rows."""
    sides = EXPERIMENT.names["side"]
    return {
        **{side: results.TRAINING_SET.fill(kind=kind, side=side) for side in sides},
        "counts": results.TRAINING_SET_COUNTS.fill(kind=kind),
        "dropped": results.TRAINING_SET_DROPPED.fill(kind=kind),
    }


# aligners.smk


def training_rows(side):
    """Return the input function for an aligner's rows: of its criterion, or of all criteria."""

    def files(wildcards):
        criteria = [wildcards.aligner] if wildcards.aligner in CRITERIA else CRITERIA
        pattern = results.TRAINING_SET.fill(kind="aligner", side=side)
        return EXPERIMENT.files(pattern, criterion=criteria)

    return files


def input_format(wildcards):
    """Return the input format of an external aligner; empty for our own format."""
    if wildcards.aligner not in EXPERIMENT.trained_external:
        return ""
    return load_recipe(ExternalRecipe, wildcards.aligner).input_format


# aligned.smk


def criteria_in_order(wildcards):
    """Return the criteria by which a single aligner corrects, in order."""
    return criteria_read(wildcards) or wildcards.aligner


# squads.smk


def principles_of_all(wildcards):
    """Return the text of the principles of each criterion."""
    return {name: numbered(load_principles(name)) for name in CRITERIA}


def languages_of_all(wildcards):
    """Return the languages of each criterion."""
    return {name: load_recipe(CriterionRecipe, name).languages for name in CRITERIA}


def squad_inspectors(wildcards):
    """Return the inspectors of a squad: those with the training seed of its aligners."""
    inspector = name_with_seed(INSPECTOR, seed_of(wildcards.backbone, SEEDS), SEEDS)
    return EXPERIMENT.files(results.INSPECTOR, inspector=[inspector])


def squad_models(wildcards):
    """Return the aligner of each criterion in a squad; the conditioned aligner is that of all."""
    names = [CONDITIONED] * len(CRITERIA) if criteria_read(wildcards) else CRITERIA
    return [results.ALIGNER.fill(backbone=wildcards.backbone, aligner=name) for name in names]


# cards.smk


def criteria_of_model(wildcards):
    """Return the criteria of an inspector or an aligner: its own, or all."""
    name = wildcards.get("criterion", wildcards.get("aligner"))
    return [name] if name in CRITERIA else CRITERIA


def languages_of_model(wildcards):
    """Return the languages of a model's criteria."""
    return languages_of(criteria_of_model(wildcards))


# external.smk


def external_model(wildcards):
    """Return the model of an external aligner that the workflow trains; [] for a released one."""
    backbone = EXPERIMENT.trained_external.get(wildcards.external)
    return results.ALIGNER.fill(backbone=backbone, aligner=wildcards.external) if backbone else []


# alpaca_eval.smk


def reference_llm(wildcards):
    """Return the LLM that a system is compared with: the base LLM or its finetuned partner."""
    base = wildcards.reference == "base"
    return wildcards.llm if base else load_recipe(LLMRecipe, wildcards.llm).finetuned


def reference_responses(wildcards):
    """Return the responses that a system is compared with."""
    if wildcards.reference in config["external"]:
        return results.EXTERNAL.fill(external=wildcards.reference)
    return results.RESPONSES.fill(llm=reference_llm(wildcards))


def reference_name(wildcards):
    """Return the name of the generator that a system is compared with."""
    if wildcards.reference in config["external"]:
        return f"{wildcards.llm}+{wildcards.reference}"
    return reference_llm(wildcards)


def reference_field(wildcards):
    """Return the field with the texts that a system is compared with."""
    return "aligned_response" if wildcards.reference in config["external"] else "response"


def failed_responses(wildcards):
    """Return the questions to which the base LLM or its finetuned partner gave no response."""
    llms = {wildcards.llm: None}
    if wildcards.reference not in config["external"]:
        llms[reference_llm(wildcards)] = None
    return [results.RESPONSES.beside("dropped.jsonl").fill(llm=llm) for llm in llms]


# reproduction.smk


def reported(wildcards):
    """Return a hash of the reported win rates."""
    return content_hash(find_file("resources/reported/win_rates.csv"))


# closed_world.smk


def partners(wildcards):
    """Return the finetuned partner of each base LLM."""
    return {name: load_recipe(LLMRecipe, name).finetuned for name in EXPERIMENT.names["llm"]}


# stages.smk


def stage_files(wildcards):
    """Return all files of a stage."""
    return EXPERIMENT.stage_files(wildcards.stage)


def stage_names(wildcards):
    """Return the names in the paths of a stage's files."""
    fields = {field for pattern in results.STAGES[wildcards.stage] for field in pattern.fields}
    spans = {
        key
        for pattern in results.STAGES[wildcards.stage]
        for key in results.SPANS.get(pattern, {}).values()
    }
    return names_json(*sorted(fields | spans))


# report.smk


def near_copies(wildcards):
    """Return the similarity threshold for near copies of each criterion."""
    return {
        criterion: load_recipe(CriterionRecipe, criterion).near_copy_similarity
        for criterion in CRITERIA
    }


def page_files(wildcards):
    """Return hashes of the page's templates, style sheet and script."""
    return [content_hash(path) for path in sorted(WORKFLOW.glob("workflow/report/*.[hcj]*"))]


def figures(section):
    """Return a section's directory of figures, marked for Snakemake's own report."""
    return report(
        directory(results.FIGURES.fill(section=section)),
        patterns=["{subject}/{figure}.svg"],
        caption=f"../report/{section}.rst",
        category=section.capitalize(),
        labels={"subject": "{subject}", "figure": "{figure}"},
    )
