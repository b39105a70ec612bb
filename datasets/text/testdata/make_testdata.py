"""Makes this folder's files: make_testdata.py <folder of SST-2's train.tsv and dev.tsv>. README.md says what they are.

    pip install tokenizers==0.23.3
"""

import json
import pathlib
import sys

from tokenizers import BertWordPieceTokenizer

HERE = pathlib.Path(__file__).parent

TEXTS = {
    "plain": ["a gripping movie", "A Gripping MOVIE", "unaffected watchability", "it 's n't funny .", "it's don't", "", " ", "x"],
    "accents": [
        "caf\u00e9 na\u00efve \u00e5ngstr\u00f6m co\u00f6perate", "CAF\u00c9 \u00c9L\u00c9GANT", "\u00f8re \u0142\u00f3d\u017a \u0111 \u00fe\u00f0",
        "Vi\u1ec7t Nam \u1ec6", "e\u0301 versus \u00e9", "a\u0323\u0301 a\u0301\u0323 q\u0307\u0323", "\u0301 starts with a mark", "a\u0303\u0304\u0305\u0306\u0307\u0308b",
        "\u1f82 \u0390 \u1e9b\u0323", "\u212b \u2126 K\u212a", "\ufb01lm \ufb03 \u00bd \u00b2",
    ],
    "CJK": [
        "\u6771\u4eac tower \u65e5\u672c 2024", "ab\u4e2d\u6587cd", "\u3042\u3044\u3046 \u30ab\u30bf\u30ab\u30ca \u30ac", "\uf900\ufa0e \u2f00 \u3007",
        "\U00020000x\U0002a700y", "\u3400\u4dbf\u4dc0\u9fff\ua000", "\u3001\u3002\u300c\u6620\u300d\uff01\uff21",
    ],
    "Hangul": ["\ud55c\uad6d\uc5b4 \uc601\ud654", "\u1112\u1161\u11ab", "\uac00\uac01\ud7a3", "\u302e\u302f \uac00\u302e\u0301"],
    "emoji": [
        "\U0001f600", "good\U0001f44dfilm", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f \u263a", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3",
        "\U0001f970 \U0001fae0",
    ],
    "controls and spaces": [
        "a\tb\nc\rd\r\ne", "a\u0000b", "a\u0007b\u007fc", "a\u00a0b", "a\u200bb", "a\u200db", "a\u200e\u202eb", "\ufefffilm", "a\u2003b\u3000c\u2028d\u2029e", "a\u0085b",
        "a\u000bb\u000cc", "so\u00adft", "a\u1680b\u180eb", "a\ue000b \U000f0000", "a\ufffdb", "a\u0378b \uffff", "  spaces\tand\nnewlines   collapse ",
    ],
    "punctuation": [
        "a.b,c", "...", "$5 ^ ` ~ = + < > |", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "what\u2019s \u201cgood\u201d \u2014 or \u2013 bad\u2026", "\u00bfqu\u00e9? \u00a1ol\u00e9!",
        "\u00ab film \u00bb \u2039 \u203a", "\u20ac5 \u00a35 \u00a9 \u00ae \u2122 \u00b0 \u00b6 \u00a7 \u00b7", "\u037e \u0387 \u055a \u05be \u061f \u0964", "##ing a##b ##", "a_b-c",
        "\u2030 \u203f \u2053 \u2212 \u00d7 \u00f7",
    ],
    "long words": [
        "a" * 100, "a" * 101, "\u00e9" * 100, "\u00e9" * 101, "e\u0301" * 100, "\u0416" * 100, "z" * 99 + "\u4e2d" + "z" * 3, "film" * 25, "film" * 26,
        "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "a" * 300 + " film",
    ],
    "special tokens": [
        "[CLS] a [SEP] b", "a[MASK]b", "[PAD][UNK]", "[cls] [mask]", "[ CLS ]", "[CLS", "CLS]", "[[CLS]]", "[SEP][SEP]", "[CL\u0301S]", "[CL\u0000S]", "\u00e9[SEP]\u00e9", "[MASK]ing",
        "[unused1]", "##[SEP]", "e[SEP]\u0301", "[",
    ],
    "case": [
        "\u0130stanbul I\u0307 \u0131", "stra\u00dfe STRASSE \u1e9e", "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2 \u03a3", "\u0416\u0418\u0417\u041d\u042c \u0439 \u0401",
        "\u01c4 \u01c5 \u01c8", "\u2160 \u24b6 \uff26\uff29\uff2c\uff2d", "\U00010400 \U0001d400", "\u10a0 \u13a0 \uab70 \u1c90", "\u03f4 \u2c62 \ua7ae",
    ],
    "scripts": [
        "\u0645\u064f\u0645\u0652\u062a\u0627\u0632 \u0623\u0625", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u093c \u0958", "\u0e20\u0e32\u0e1e\u0e22\u0e19\u0e15\u0e23\u0e4c \u0e33",
        "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0bca", "\U0001d15e \U0001d165\U0001d16d\u0301\U0001d165", "\u0f73\u0f71\u0f72", "\U00011131\U00011127",
    ],
}

# Bytes that are no UTF-8. Each count as U+FFFD.
BYTES = [
    b"a\xffb", b"\x80film", b"caf\xc3", b"\xc0\x80a", b"a\xed\xa0\x80b", b"\xf4\x90\x80\x80 film", b"\xe2\x82 film", b"\xf0\x9f\x98", b"\xe2\x28\xa1",
    b"\xc3\xa9\xa9 ok", b"\xfe\xff\x00f\x00i", b"[CLS\xff]", b"good\xc3[SEP]\xa9",
]

# lower_case, strip_accents (None: as lower_case), split_cjk.
UNCASED = (True, None, True)
CASED = (False, None, True)
OTHERS = [(True, False, True), (False, True, True), (True, None, False)]


def tokenizer(options):
    lower_case, strip_accents, split_cjk = options
    return BertWordPieceTokenizer(
        str(HERE / "vocab.txt"), lowercase=lower_case, strip_accents=strip_accents, handle_chinese_chars=split_cjk
    )


def cut(source, target, count):
    """The first short sentences, as many of each label, with GLUE's header."""
    left = {"0": count // 2, "1": count // 2}
    examples = []
    for line in source.read_text(encoding="utf-8").splitlines()[1:]:
        label, sentence = line.split("\t")
        if 12 <= len(sentence) <= 70 and left[label] > 0:
            left[label] -= 1
            examples.append((sentence, label))
    target.parent.mkdir(exist_ok=True)
    target.write_text("sentence\tlabel\n" + "".join(f"{s}\t{l}\n" for s, l in examples), encoding="utf-8", newline="\n")
    return [sentence for sentence, _ in examples]


def main(sst2):
    sentences = cut(sst2 / "train.tsv", HERE / "sst2" / "train.tsv", 160)
    sentences += cut(sst2 / "dev.tsv", HERE / "sst2" / "dev.tsv", 40)
    texts = [text for group in TEXTS.values() for text in group]

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(sentences + texts, vocab_size=1200, min_frequency=2, show_progress=False)
    tokens = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    cased = [t for t in ("A", "G", "##R", "MO", "##V", "##IE", "C", "##A", "##F", "\u00e9", "##\u00e9", "##\u0301", "\u6771\u4eac") if t not in tokens]
    (HERE / "vocab.txt").write_text("\n".join(tokens + cased) + "\n", encoding="utf-8", newline="\n")

    groups = []

    def add(name, options, stored_and_texts, form="text"):
        lower_case, strip_accents, split_cjk = options
        encode = tokenizer(options).encode
        groups.append({
            "name": name, "lower_case": lower_case, "strip_accents": strip_accents, "split_cjk": split_cjk, "form": form,
            "cases": [[stored, " ".join(encode(text).tokens)] for stored, text in stored_and_texts],
        })

    for name, group in TEXTS.items():
        for options in [UNCASED, CASED]:
            add(name, options, zip(group, group))
    for options in OTHERS:
        for name in ("accents", "CJK", "case", "scripts"):
            add(name, options, zip(TEXTS[name], TEXTS[name]))
    add("not UTF-8", UNCASED, [(data.hex(), data.decode("utf-8", errors="replace")) for data in BYTES], form="hex")
    text = json.dumps(groups).replace('[["', '[\n["').replace('"], ["', '"],\n["').replace('}, {', '},\n{')  # a case a line
    assert json.loads(text) == groups
    (HERE / "pieces.json").write_text(text + "\n")
    print(len(sentences), "sentences,", len(tokens + cased), "tokens,", sum(len(g["cases"]) for g in groups), "cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
