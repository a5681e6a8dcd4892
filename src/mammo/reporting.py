"""The checklists that reviewers ask for, filled from a model's card: CLAIM 2024 and TRIPOD+AI.

    print(mammo.checklist(card))
    mammo.save_classifier("my_model", model, report, checklist={"CLAIM 44": "no funding", "TRIPOD+AI 18a": "none"})

Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology: Artificial
Intelligence 6, e240300, 2024. Collins et al., TRIPOD+AI statement, BMJ 385, e078378, 2024. The items are theirs, the
words are not: each is one line on what it asks for, and the articles say the rest.
"""

from __future__ import annotations

CLAIM = """
1 the title names the kind of AI
2 abstract: design, methods, results, conclusions
3 background, intended use and role of the AI
4 aims, objectives, hypotheses
5 prospective or retrospective
6 goal of the study
7 where the data come from
8 who was included and excluded
9 preprocessing
10 choice of parts of the data
11 de-identification
12 missing data
13 how the images were acquired
14 reference standard: how it was obtained
15 reference standard: why this one
16 reference standard: who annotated
17 annotation of the test set
18 agreement within and between annotators
19 how data were assigned to the splits
20 the level at which the splits are disjoint
21 intended sample size
22 the model in detail
23 software and versions
24 initial weights
25 training in detail
26 how the final model was chosen
27 ensembles
28 measures of performance
29 significance and uncertainty
30 robustness, sensitivity of the analysis
31 explainability
32 evaluation on internal data
33 testing on external data
34 registration of a clinical trial
35 numbers included and excluded
36 demographic and clinical characteristics of each split
37 performance with its uncertainty
38 diagnostic performance and its precision
39 analysis of failures
40 limitations
41 implications for practice, intended use
42 full protocol or further technical detail
43 availability of software, model, data
44 funding and the role of funders
"""
TRIPOD = """
1 the title: a prediction model, for whom, of what
2 abstract, by its own list of 13 items
3a healthcare context, rationale, existing models
3b target population, purpose, users
3c known health inequalities
4 objectives
5a where the data come from, why, and whom they stand for
5b dates of the data
6a setting, number and places of centres
6b eligibility
6c treatments
7 preparation and quality of the data
8a outcome: definition, time, assessment
8b outcome: who assessed it
8c outcome: blinding
9a choice of predictors
9b predictors: definition, measurement
9c predictors: who assessed them
10 sample size, and why
11 missing data
12a how the data were used and split
12b handling of predictors
12c kind of model, building, hyperparameters, internal validation
12d differences between clusters: hospitals, countries
12e measures and plots of performance
12f updating, such as recalibration
12g evaluation: how predictions were calculated
13 class imbalance
14 fairness
15 output of the model; classes and thresholds
16 how training and test data differ: setting, eligibility, outcome, predictors
17 ethical approval, consent
18a funding
18b conflicts of interest
18c protocol
18d registration
18e availability of data
18f availability of code
19 involvement of patients and the public
20a flow of participants
20b characteristics of participants
20c training against test data: predictors and outcome
21 numbers of participants and outcomes in each analysis
22 the full model, so that others can predict, and who may use it
23a performance with intervals, in subgroups too
23b differences of performance between clusters
24 results of updating
25 interpretation, fairness
26 limitations
27a use: input that is poor or missing
27b use: what users do, what they must know
27c next steps
"""
ITEMS = {
    f"{name} {line.split(' ', 1)[0]}": line.split(" ", 1)[1]
    for name, items in {"CLAIM": CLAIM, "TRIPOD+AI": TRIPOD}.items()
    for line in items.strip().splitlines()
}
EMPTY = "not recorded"
REPOSITORY = "https://github.com/Vinuthnadivi/Breast_Cancer_Detection"


def _counts(card) -> str:
    return "; ".join(
        f"{split}: {n['patients']} patients, {n['images']} images, {n['malignant_images']} of them malignant"
        for split, n in card["counts"].items()
    )


def _model(card) -> str:
    height, width = card["image_size"]
    return f"ResNet50, pooling, 1024 units, {len(card['class_names'])} classes; input {height} x {width}"


def _sources(card) -> str:
    return ", ".join(card["sources"])


def _preparation(card) -> str:
    return f"mammo.preprocessing {card['versions']['mammo']}, input " + " x ".join(map(str, card["image_size"]))


def _measured(card, *names) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {card[name]:.3f} ({card[f'{name}_interval'][0]:.3f} to "
        f"{card[f'{name}_interval'][1]:.3f})"
        for name in names
        if card[name] is not None and card[f"{name}_interval"]
    )


def _training(card) -> str:
    fitted = card["calibration"]
    said = f"{fitted['method']} on validation, slope {fitted['slope']:.3f}, intercept {fitted['intercept']:.3f}"
    return f"in part: {card['training']}; seed {card['seed']}; {said}"


def _output(card) -> str:
    low, high = sorted((card["conformal"]["malignant_from"], card["conformal"]["benign_up_to"]))
    return (
        f"probability of malignant; alarm from {card['threshold']:.4f}, {card['threshold_rule']}; uncertain between "
        f"{low:.4f} and {high:.4f}"
    )


PERFORMANCE = ("auc", "average_precision", "brier")
SLOPE = {"calibration_slope", "calibration_intercept"}  # not in the first cards
RECORDED = {
    ("CLAIM 3", "CLAIM 41", "TRIPOD+AI 3b"): lambda card: "in part: for learning and research, not a medical device",
    ("CLAIM 7",): _sources,
    ("TRIPOD+AI 5a",): lambda card: f"in part: {_sources(card)}" if card["sources"] else EMPTY,
    ("CLAIM 9",): _preparation,
    ("TRIPOD+AI 7",): lambda card: f"in part: {_preparation(card)}",
    ("CLAIM 19", "CLAIM 35", "TRIPOD+AI 12a", "TRIPOD+AI 20a"): lambda card: f"in part: {_counts(card)}",
    ("TRIPOD+AI 21",): _counts,
    ("CLAIM 20",): lambda card: "patient: no patient is in two splits" if card["counts"] else EMPTY,
    ("CLAIM 22",): lambda card: f"in part: {_model(card)}",
    ("TRIPOD+AI 22",): lambda card: f"model file: {_model(card)}",
    ("CLAIM 43", "TRIPOD+AI 18f"): lambda card: f"in part: mammo {card['versions']['mammo']}, MIT, {REPOSITORY}",
    ("CLAIM 23",): lambda card: ", ".join(f"{name} {v}" for name, v in card["versions"].items()),
    ("CLAIM 24",): lambda card: card["weights"],
    ("CLAIM 25", "TRIPOD+AI 12c"): _training,
    ("CLAIM 28", "TRIPOD+AI 12e"): lambda card: (
        "MODEL_CARD.md: measured on the test patients" if card["interval_method"] else EMPTY
    ),
    ("CLAIM 29",): lambda card: card["interval_method"],
    ("CLAIM 32", "CLAIM 37"): lambda card: _measured(card, *PERFORMANCE),
    ("TRIPOD+AI 23a",): lambda card: (
        f"in part, without subgroups: {_measured(card, *PERFORMANCE, *sorted(SLOPE & card.keys()))}"
    ),
    ("CLAIM 38",): lambda card: _measured(card, "sensitivity", "specificity"),
    ("TRIPOD+AI 8a",): lambda card: (
        f"in part: {' or '.join(card['class_names'])}; normal images {card['normal_images']}"
    ),
    ("TRIPOD+AI 15",): _output,
    ("TRIPOD+AI 27a",): lambda card: f"warned of, by what is familiar (SHA-256 {card['familiar_sha256'][:12]})",
}


def checklist(card: dict) -> str:
    """CHECKLIST.md: each item of CLAIM 2024 and TRIPOD+AI with what the card records, or "not recorded".

    What no program can know is taken from `card["checklist"]`, such as `{"CLAIM 44": "no funding"}`; it comes first.
    """
    recorded = {item: _answer(answer, card) for items, answer in RECORDED.items() for item in items}
    recorded |= card.get("checklist", {})
    return f"""# Checklists

What this model's card records for each item of two reporting guidelines. "{EMPTY.capitalize()}" means that nobody has
said it, not that it was not done. Filled by a program: an entry is a start for an author, and no claim of compliance.

## CLAIM 2024

Tejani et al., Radiology: Artificial Intelligence 6, e240300, 2024; items in short.

{_table("CLAIM", recorded)}

## TRIPOD+AI

Collins et al., BMJ 385, e078378, 2024; items in short.

{_table("TRIPOD+AI", recorded)}
"""


def _answer(answer, card: dict) -> str:
    try:
        return answer(card) or EMPTY
    except KeyError:  # a card from before this was recorded
        return EMPTY


def _table(name: str, recorded: dict) -> str:
    lines = ["| item | asks for | recorded |", "|---|---|---|"]
    for item, asks in ITEMS.items():
        guideline, number = item.split(" ")
        if guideline == name:
            said = " ".join(recorded.get(item, EMPTY).split()).replace("|", r"\|")  # or it would be more cells
            lines.append(f"| {number} | {asks} | {said} |")
    return "\n".join(lines)
