"""What a DICOM header says of the examination: whether it shows a breast, its side and view, and special views."""

from __future__ import annotations

import re

from pydicom import uid

from mammo.io.header import codes, items, numbers, text

MAMMOGRAPHY_CLASSES = {
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.BreastTomosynthesisImageStorage,
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
}
RADIOGRAPHS = {"", "CR", "DX", "OT", "RG", "SC"}  # mammograms are also filed under these
BREAST_CODES = {  # breast; right, left and both breasts (SNOMED CT, and the codes of the older SRT)
    "76752008", "73056007", "80248007", "63762007", "T-04000", "T-04020", "T-04030", "T-04080",
}  # fmt: skip
VIEWS = {  # PS3.16, CID 4014; each code in SNOMED CT and in SRT
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "FB": ("399196006", "R-10244"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "SPECIMEN": ("127457009", "G-8310"),
}
VIEW_OF_CODE = {code: view for view, both in VIEWS.items() for code in both}
SPECIAL_VIEWS = {  # the warning's words: CID 4015 in SNOMED CT and in SRT, and letters at the view as the ACR has them
    "spot compression": ("399055006", "R-102D7", "S"),
    "magnification": ("399163009", "R-102D6", "M"),
    "implant displaced": ("399209000", "R-102D5", "ID"),
    "tangential": ("399110001", "R-102C2", "TAN"),
    "cleavage": ("399161006", "R-102D2", "CV"),
    "axillary tail": ("399011000", "R-102D1", "AT"),
    "axillary tissue": ("442580003", "R-40AB2"),
    "rolled laterally": ("399197002", "R-102D3", "RL"),
    "rolled medially": ("399226006", "R-102D4", "RM"),
    "rolled inferiorly": ("414493004", "R-102CA", "RI"),
    "rolled superiorly": ("415670009", "R-102C9", "RS"),
    "anterior compression": ("441752004", "P2-00161", "AC"),
    "infra-mammary fold": ("442593008", "R-40ABE", "IMF"),
}
SPECIAL_WORDS = {  # in the languages of BREAST_WORDS
    "spot compression": r"\bSPOT|FOCALI[ZS]|\bFOCAL COMPR|\bCON(?:ED|E DOWN)\b|ZIELAUFNAHME|LOCALI[SZ]\w* COMPR"
    r"|CLICH[EÉ]\w* CENTR|COMPRESSION\w* MIRAT|スポット|点压|국소압박",
    "magnification": r"\bMAGN?\b|\bMAG\d|MAGNIFI|AGRANDI|AMPLIA[CDÇ]|VERGR(?:O|Ö|OE)(?:SS|T)|INGRANDIM|УВЕЛИЧ"
    r"|拡大|放大|확대",
    "implant displaced": r"IMPLANT\w* DISPLACE|DISPLACED IMPLANT|EKLUND",
    "tangential": r"TANGENTI|タンジェンシャル|切线",
    "cleavage": r"CLEAVAGE",
    "axillary tail": r"AXILLARY TAIL|CLEOPATRA",
    "rolled": r"\bROLLED\b(?! (?:LAT|MED|INF|SUP))",
}
SPECIMEN = re.compile(r"SPECIMEN|ESP[EÉ]CIM|PR(?:A|Ä|AE)PARAT|PI[EÈ]CE OP|PEZZO OP|PIEZA|ПРЕПАРАТ|標本|标本|표본")
VIEW_WITH_LETTERS = re.compile(  # as in RMCC, LMLOID or CC-M
    r"(?<![^\W_])(?:[LR][ _-]?(?P<before>[MS]{0,2}))?(?:CC|MLO|LMO|ML|LM)[ _-]*"
    r"(?P<after>SPOT|TAN|IMF|ID|CV|(?<! )AT|RL|RM|RI|RS|AC|S|M|)(?![^\W_])"
)
BREAST_WORDS = re.compile(  # in the languages that archives of breast screening use
    r"\bBREASTS?\b|MAMM?OGRA[FPM]|\bMAMM(?:A|AE|O|ARY)\b|\bMAM(?:AS?|O)\b|\bSEINS?\b|S[EÉ]NOLOG|MASTOGRAF|\bBORST(?:EN)?\b"
    r"|^SEN[OI]S?$|^BR(?:U|Ü)STE?$"  # alone; within a description they also name a sinus, or the chest
    r"|МАММОГРА|МОЛОЧН\w+ ЖЕЛЕЗ|マンモグラフィ|乳房|乳腺|钼靶|유방"
)
UNSTATED = {"", "UNKNOWN", "UNDEFINED", "OTHER", "NONE", "N/A"}  # where a body part should be
OTHER_MODALITIES = re.compile(r"\bUS\b|ULTRASO|SONOGRA|[EÉ]CHOGRA|ECOGRA|\bMRI?\b|\bRM\b|\bIRM\b|\bCT\b|\bPET\b")
VIEW_TEXTS = (
    "ViewPosition",
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionProtocolName",
    "AcquisitionDeviceProcessingDescription",
)
DESCRIPTIONS = ("ProtocolName", "SeriesDescription", "StudyDescription")
MAGNIFIED = 1.3  # a breast on the detector is magnified by up to 1.1, on a magnification stand by 1.5 to 2


def shows_breast(header) -> bool:
    """True for a radiograph of another modality (or none) whose header says that it shows a breast.

    Codes and the body part count first. Descriptions, which people write, count only where all of those are empty.
    """
    if text(header, "Modality") not in RADIOGRAPHS:
        return False
    regions = [*codes(header, "AnatomicRegionSequence"), *codes(header, "PrimaryAnatomicStructureSequence")]
    views = [*codes(header, "ViewCodeSequence"), text(header, "ViewPosition")]
    if any(code in BREAST_CODES for code in regions) or any(VIEW_OF_CODE.get(v, v) in ("CC", "MLO") for v in views):
        return True
    meanings = [text(item, "CodeMeaning") for item in items(header, "AnatomicRegionSequence")]
    stated = [name.replace("_", " ") for name in (text(header, "BodyPartExamined"), *meanings) if name not in UNSTATED]
    if stated or any(regions):
        return any(BREAST_WORDS.search(name) for name in stated)
    if text(header, "SOPClassUID") in MAMMOGRAPHY_CLASSES:
        return True
    described = " ".join(text(header, tag) for tag in DESCRIPTIONS)
    return bool(BREAST_WORDS.search(described)) and not OTHER_MODALITIES.search(described)


def view_of(header) -> str | None:
    """The view; CBIS-DDSM keeps it under Patient Orientation, tomosynthesis as a code."""
    elsewhere = text(header, "PatientOrientation")
    coded = next((VIEW_OF_CODE[code] for code in codes(header, "ViewCodeSequence") if code in VIEW_OF_CODE), None)
    return text(header, "ViewPosition") or (elsewhere if elsewhere in ("CC", "MLO") else coded)


def laterality_of(header) -> str | None:
    """The side of the breast, L or R."""
    tags = ("ImageLaterality", "FrameLaterality", "Laterality")
    return next((side for side in (text(header, tag) for tag in tags) if side in ("L", "R")), None)


def chest_wall_of(header) -> str | None:
    """The side of the image where the chest wall is, `"left"` or `"right"`; CBIS-DDSM keeps the view in this tag."""
    rows = text(header, "PatientOrientation")
    return {"P": "right", "A": "left"}.get(rows[:1]) if set(rows) <= set("APHFLR") else None


def spacing_of(header) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = numbers(header, tag)
        if len(spacing) == 2 and all(spacing) and min(spacing) > 0:
            return spacing[0], spacing[1]
    return None


def special_views(header) -> list[str]:
    """Warnings about views that are not the whole breast as a screening mammogram shows it.

    Codes count, and so do the words of what names the view, the series or the protocol.
    """
    views = items(header, "ViewCodeSequence")
    modifiers = [item for each in (header, *views) for item in items(each, "ViewModifierCodeSequence")]
    words = " / ".join(
        [*(text(header, tag) for tag in VIEW_TEXTS), *(text(item, "CodeMeaning") for item in (*views, *modifiers))]
    )
    found = {text(item, "CodeValue") for item in modifiers}
    for match in VIEW_WITH_LETTERS.finditer(words):
        found |= {match["after"], *(match["before"] or "")}
    factor = numbers(header, "EstimatedRadiographicMagnificationFactor")
    paddle = text(header, "PaddleDescription")
    if (factor and (factor[0] or 0) >= MAGNIFIED) or "MAG" in paddle:
        found.add("M")
    if "SPOT" in paddle:
        found.add("S")
    by_word = {kind for kind, pattern in SPECIAL_WORDS.items() if re.search(pattern, words)}
    kinds = [
        kind for kind in SPECIAL_VIEWS | SPECIAL_WORDS if found & {*SPECIAL_VIEWS.get(kind, ())} or kind in by_word
    ]
    notes = [f"This is a special view ({', '.join(kinds)}); the model expects a standard one."] if kinds else []
    if text(header, "PartialView") == "YES" or codes(header, "PartialViewCodeSequence"):
        notes.append("By its header this is a partial view: it does not show the whole breast.")
    if text(header, "BreastImplantPresent") == "YES":
        notes.append("By its header the breast has an implant.")
    is_specimen = SPECIMEN.search(f"{words} / {text(header, 'BodyPartExamined')}")
    if view_of(header) == "SPECIMEN" or is_specimen or items(header, "SpecimenDescriptionSequence"):
        notes.append("By its header this is a specimen, not a breast.")
    return notes
