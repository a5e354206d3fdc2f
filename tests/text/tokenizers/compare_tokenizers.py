#!/usr/bin/env python3
"""Compares tokens and offsets with Hugging Face's package tokenizers: compare_tokenizers.py PROGRAM [OPTION [NAME]]

PROGRAM is compare_tokenizers. Without an option: some thousand texts. --full: every text of the data sets that
LINFORMER_DATA holds, and 100,000 random ones; with NAME only by tokenizers whose name begins so. --speed: MB/s of both
on WikiText-2, one thread each, by processor time. --differences: prints the code points on which the two differ, which
docs/tokenizers.md lists. XLM-R's tokens, without offsets, are compared where the packages sentencepiece and protobuf
are there too. Exit status 77 means skipped: the package or the data is not there.
"""
import codecs
import csv
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
try:
    import tokenizers
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
except ImportError as error:
    print(f"skipped: {error} (pip install tokenizers)")
    sys.exit(77)

try:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
except ImportError as error:
    sentencepiece = None
    print(f"XLM-R is skipped: {error} (pip install sentencepiece protobuf)")

DATA = pathlib.Path(os.environ.get("LINFORMER_DATA", "/nowhere"))
if not (DATA / "tokenizers").is_dir():
    print("skipped: LINFORMER_DATA names no folder with tokenizers/")
    sys.exit(77)
PROGRAM = sys.argv[1]
MODE = sys.argv[2] if len(sys.argv) > 2 else ""
NAME = sys.argv[3] if len(sys.argv) > 3 else ""
# Every code point; of planes above 1 the short form has tags and variation selectors alone.
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000
          and (MODE or point < 0x20000 or 0xE0000 <= point < 0xE0200)]


# ---- Code points on which the two libraries' Unicode versions differ

def their_facts():
    """For every code point what their parts do with it, as `compare_tokenizers facts` prints it."""
    def bert(**what):
        off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**{**off, **what})

    def between(normalizer, mark):
        return normalizer.normalize_str(mark + mark.join(map(chr, POINTS)) + mark)

    marked = {}  # what each normaliser makes of a code point between marks that it leaves alone
    for name, normalizer in (("clean", bert(clean_text=True)), ("apart", bert(handle_chinese_chars=True)),
                             ("stripped", bert(strip_accents=True)), ("lower", bert(lowercase=True))):
        marked[name] = between(normalizer, "<|>").split("<|>")[1:-1]
        assert len(marked[name]) == len(POINTS), name

    def begins(pre_tokenizer, before, after):
        """Whether a piece begins at each code point, and behind it, where it stands between two letters."""
        text = "".join(before + chr(point) + after for point in POINTS)
        starts, ends = set(), set()
        for _, (begin, end) in pre_tokenizer.pre_tokenize_str(text):
            starts.add(begin)
            ends.add(end)
        width = len(before) + 1 + len(after)
        places = range(len(before), len(text), width)
        return [place in starts for place in places], [place in ends for place in places]

    bert_starts, bert_ends = begins(pre_tokenizers.BertPreTokenizer(), "a", "b")
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    joins = {name: begins(gpt2, "\n" + before, "")[0] for name, before in (("L", "a"), ("N", "1"), ("O", "!"))}

    classes = combining_classes()
    facts = []
    for i, point in enumerate(POINTS):
        clean = marked["clean"][i]
        spell = lambda text: ",".join("%X" % ord(c) for c in text)
        facts.append(("%X" % point,
                      "drop" if clean == "" else "space" if clean == " " and point != 32 else "same",
                      str(int(marked["apart"][i] == f" {chr(point)} ")), spell(marked["stripped"][i]),
                      spell(marked["lower"][i]),
                      str(classes.get(point, 0)), "o" if not bert_ends[i] else "p" if bert_starts[i] else "s",
                      next((name for name in "LNO" if not joins[name][i]), "S")))
    return facts


def old_marks():
    """{combining class: a mark that every version of Unicode in use has in it}"""
    marks = {}
    for point in POINTS:
        mark = chr(point)
        order = unicodedata.ucd_3_2_0.combining(mark)
        if order == unicodedata.combining(mark) and not unicodedata.decomposition(mark):
            marks.setdefault(order, mark)
    return {order: marks[order] for order in sorted(marks) if order > 0}


def combining_classes():
    """Canonical combining classes, where not 0, seen from how marks change places: of a class without an old mark the
    one below."""
    nfd, marks = normalizers.NFD(), old_marks()

    def goes_before(point, mark):
        return chr(point) != mark and nfd.normalize_str("a" + mark + chr(point)) == "a" + chr(point) + mark

    last = max(marks)
    moved = [point for point in POINTS if goes_before(point, marks[last])]
    found = {point: max((order for order in marks if not goes_before(point, marks[order])), default=1)
             for point in moved}
    return {**found, ord(marks[last]): last}


def differences():
    """{fact: {code point: (theirs, ours)}}"""
    names = ("clean-up", "ideographs", "accents", "lower case", "combining class", "punctuation", "classes of byte-level BPE")
    ours = subprocess.run([PROGRAM, "facts"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {name: {} for name in names}
    orders = [0, *old_marks()]
    ours = {int(line.split(" ")[0], 16): line.split(" ") for line in ours}
    for their in their_facts():
        our = ours[int(their[0], 16)]
        our[5] = str(max(order for order in orders if order <= int(our[5])))
        for name, theirs, mine in zip(names, their[1:], our[1:], strict=True):
            if theirs != mine:
                found[name][int(our[0], 16)] = (theirs, mine)
    return found


def print_differences(found):
    version = subprocess.run([PROGRAM, "version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"tokenizers {tokenizers.__version__}, {version}")
    for name, points in found.items():
        ranges = []
        for point, what in points.items():
            shown = what if name in ("clean-up", "combining class", "punctuation", "classes of byte-level BPE") else None
            if ranges and ranges[-1][1] == point - 1 and ranges[-1][2] == shown:
                ranges[-1][1] = point
            else:
                ranges.append([point, point, shown])
        print(f"\n{name}: {len(points)} code points")
        for first, last, shown in ranges:
            print("  " + ("%04X" % first if first == last else "%04X-%04X" % (first, last)) +
                  (f"  theirs {shown[0]}, ours {shown[1]}" if shown else ""))


# ---- Texts

def data_texts():
    """(name, texts) of the data sets."""
    for part in ("train", "valid", "test"):
        path = DATA / "wikitext-2" / f"{part}.txt"
        yield f"WikiText-2 {part}", path.read_text(encoding="utf-8").split("\n")
    archive = DATA / "imdb" / "aclImdb_labeled_50k.tar.xz"
    texts = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".txt"):
                texts.append(tar.extractfile(member).read().decode("utf-8", errors="replace"))
    yield "IMDB", texts
    for part in ("train_19k", "test_10k"):
        rows = (DATA / "qqp" / f"{part}.tsv").read_text(encoding="utf-8").split("\n")[1:]
        yield f"QQP {part}", [text for row in rows for text in row.split("\t")[:2]]
    with open(DATA / "hate-speech" / "davidson.csv", encoding="utf-8", newline="") as file:
        yield "Davidson", [field for row in csv.reader(file) for field in row]


def random_texts(count, seed=1):
    """Strings of many scripts: words, marks, emoji, controls, spaces, contractions, and any code point at all."""
    draw = random.Random(seed)
    blocks = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF),
              (0x600, 0x6FF), (0x900, 0x97F), (0xB80, 0xBFF), (0xE00, 0xE7F), (0xF00, 0xFFF), (0x1100, 0x11FF),
              (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x20CF), (0x20D0, 0x20FF),
              (0x2100, 0x214F), (0x2460, 0x24FF), (0x3000, 0x303F), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
              (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xFF00, 0xFFEF),
              (0x1D400, 0x1D7FF), (0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x20000, 0x2A6DF), (0x2F800, 0x2FA1F)]
    marks = [point for point in POINTS if unicodedata.combining(chr(point))]
    spaces = " \t\n\r\v\f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
    ends = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "''", "'x", "...", " 's", "123", "-", "_"]

    def piece():
        kind = draw.randrange(10)
        if kind < 4:
            low, high = draw.choice(blocks)
            return "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(1, 6)))
        if kind == 4:
            return "".join(draw.choice("abcdefghijklmnopqrstuvwxyzABCDEFGH") for _ in range(draw.choice((3, 8, 8, 120))))
        if kind == 5:
            return "".join(draw.choice(spaces) for _ in range(draw.randint(1, 4)))
        if kind == 6:
            return draw.choice("aeionAEIONyüéÅ") + "".join(chr(draw.choice(marks)) for _ in range(draw.randint(1, 4)))
        if kind == 7:
            return draw.choice(ends)
        if kind == 8:
            return chr(draw.choice(POINTS))
        return " " * draw.randint(1, 3) + "".join(draw.choice("etaoinshrdlu") for _ in range(draw.randint(1, 7)))

    return ["".join(piece() for _ in range(draw.randint(0, 12))) for _ in range(count)]


def texts_with_specials(names, count, seed=2):
    draw = random.Random(seed)
    pieces = names + [" ", "  ", "\t", "a", " word", "word ", ".", "\u3000", "é", "[", "]", "<", "mask", "Mask", "\u0301"]
    return ["".join(draw.choice(pieces) for _ in range(draw.randint(0, 9))) for _ in range(count)]


# ---- Tokenizers

BERT = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert(vocabulary, **settings):
    tokenizer = Tokenizer(models.WordPiece.from_file(str(vocabulary), unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(**settings)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", tokenizer.token_to_id("[SEP]")),
                                                         ("[CLS]", tokenizer.token_to_id("[CLS]")))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in BERT])
    return tokenizer


def roberta(folder, add_prefix_space=False, trim_offsets=True):
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets, add_prefix_space)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=name != "<mask>", lstrip=name == "<mask>")
                                  for name in ROBERTA])
    return tokenizer


def xlm_roberta(path):
    """As transformers makes it of a SentencePiece model, but that <s>, <unk> and the like in a text are text: there the
    model itself finds them, whatever encode_special_tokens says."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    hidden = "\uf8ff"  # before their names: a text has other things
    names = [(hidden + name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [(piece.piece, piece.score) for piece in proto.pieces[3:]]
    tokenizer = Tokenizer(models.Unigram([*names, *pieces, (hidden + "<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    return tokenizer


def is_xlm_roberta(tokenizer):
    return isinstance(tokenizer.model, models.Unigram)


XLM_ROBERTA = DATA / "tokenizers" / "sentencepiece" / "test_sentencepiece.model"


def cases(work):
    """(name, their tokenizer, folder from which the library loads the same one)"""
    for name, tokenizer, folder in all_cases(work):
        if name.startswith(NAME):
            yield name, tokenizer, folder


def all_cases(work):
    source = DATA / "tokenizers"

    def folder(name, files, settings=None):
        path = work / name
        path.mkdir()
        for target, file in files.items():
            (path / target).symlink_to(file)
        if settings is not None:
            (path / "tokenizer_config.json").write_text(json.dumps(settings))
        return path

    def saved(name, tokenizer):
        path = work / name
        path.mkdir()
        tokenizer.save(str(path / "tokenizer.json"))
        return name, tokenizer, path

    uncased, cased = (source / "bert-base" / f"bert_base_{kind}_vocab.txt" for kind in ("uncased", "cased"))
    files = {name: source / "roberta-base" / name for name in ("vocab.json", "merges.txt")}
    yield "BERT uncased, vocab.txt", bert(uncased, lowercase=True), folder("uncased", {"vocab.txt": uncased})
    yield ("BERT cased, vocab.txt", bert(cased, lowercase=False),
           folder("cased", {"vocab.txt": cased}, {"do_lower_case": False}))
    yield "RoBERTa, vocab.json", roberta(source / "roberta-base"), folder("roberta", files)
    yield ("RoBERTa with a space, vocab.json", roberta(source / "roberta-base", add_prefix_space=True),
           folder("prefix", files, {"add_prefix_space": True}))
    if sentencepiece is not None:
        yield ("XLM-R, sentencepiece.bpe.model", xlm_roberta(XLM_ROBERTA),
               folder("xlm-r", {"sentencepiece.bpe.model": XLM_ROBERTA}))
    yield saved("BERT lower case with accents, tokenizer.json", bert(uncased, lowercase=True, strip_accents=False))
    yield saved("BERT nothing normalised, tokenizer.json", bert(
        cased, clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False))
    yield saved("BERT upper case without accents, tokenizer.json", bert(uncased, lowercase=False, strip_accents=True))
    yield saved("RoBERTa, tokenizer.json", roberta(source / "roberta-base"))
    yield saved("RoBERTa with untrimmed offsets, tokenizer.json",
                roberta(source / "roberta-base", trim_offsets=False, add_prefix_space=True))


# ---- Comparison

def excuses(tokenizer, found):
    """Says of a text whether the libraries may differ on it. WordPiece and BPE: for a code point that plays a part in
    what the tokenizer does. XLM-R: where what they make of the text before they cut it is not what SentencePiece does."""
    if is_xlm_roberta(tokenizer):
        model = sentencepiece.SentencePieceProcessor(model_file=str(XLM_ROBERTA))

        def differs(text):
            pieces = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
            return "".join(piece for piece, _ in pieces) != model.normalize(text)

        return differs
    points = different_points(tokenizer, found)
    return lambda text: not points.isdisjoint(text)


def different_points(tokenizer, found):
    if isinstance(tokenizer.model, models.BPE):
        parts = ["classes of byte-level BPE"]
    else:
        settings = json.loads(tokenizer.normalizer.__getstate__())
        stripped = settings["lowercase"] if settings["strip_accents"] is None else settings["strip_accents"]
        parts = ["punctuation"] + settings["clean_text"] * ["clean-up"] + settings["lowercase"] * ["lower case"]
        parts += settings["handle_chinese_chars"] * ["ideographs"] + stripped * ["accents", "combining class"]
    return {chr(point) for part in parts for point in found[part]}


def broken_texts(count, seed=3):
    """UTF-8 with bytes changed, added or taken out."""
    draw = random.Random(seed)
    texts = []
    for text in random_texts(count, seed):
        data = bytearray(text.encode())
        for _ in range(draw.randint(1, 5)):
            place = draw.randint(0, len(data))
            data[place:place + draw.randint(0, 2)] = bytes(draw.choice((0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF))
                                                          for _ in range(draw.randint(0, 2)))
        texts.append(bytes(data))
    return texts


def decoded(data):
    """(text, place of every code point and of the end), U+FFFD for bytes that are not UTF-8."""
    spans = []

    def replace(error):
        spans.append((error.start, error.end))
        return "\ufffd", error.end

    codecs.register_error("note", replace)
    text, places, place = data.decode("utf-8", "note"), [], 0
    ends = dict(spans)
    for c in text:
        places.append(place)
        place = ends[place] if place in ends else place + len(c.encode())
    return text, [*places, place]


def their_line(tokenizer, text, places):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if is_xlm_roberta(tokenizer):
        return "".join(f"{token} " for token in encoding.ids)
    return "".join(f"{token} {places[begin]} {places[end]} "
                   for token, (begin, end) in zip(encoding.ids, encoding.offsets))


def our_lines(folder, texts, work, *options):
    with open(work / "texts", "wb") as file:
        for text in texts:
            file.write(b"%d\n%s" % (len(text), text))
    with open(work / "texts", "rb") as file, open(work / "lines", "wb") as lines:
        subprocess.run([PROGRAM, str(folder), *options], check=True, stdin=file, stdout=lines)
    return (work / "lines").read_text().splitlines()


def tie_judge(tokenizer):
    """Says of two lines of XLM-R whether they cut the same text with the same sum of scores."""
    if not is_xlm_roberta(tokenizer):
        return lambda theirs, mine: False
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]  # (text, score) by id

    def is_tie(theirs, mine):
        cuts = [[pieces[int(token)] for token in line.split()] for line in (theirs, mine)]
        texts = ["".join(text for text, _ in cut) for cut in cuts]
        sums = [sum(score for _, score in cut) for cut in cuts]
        return texts[0] == texts[1] and abs(sums[0] - sums[1]) < 1e-12 * abs(sums[0])  # but for the order of the sum

    return is_tie


def compare(name, tokenizer, folder, source, texts, found, work, *options):
    """Whether all texts agree but for those with code points that differ."""
    tokenizer.encode_special_tokens = "special" not in options
    may_differ, is_tie = excuses(tokenizer, found), tie_judge(tokenizer)
    numbers = 1 if is_xlm_roberta(tokenizer) else 3  # of a token
    wrong, apart, apart_wrong, ties, tokens = 0, 0, 0, 0, 0
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    ours = our_lines(folder, texts, work, *options)
    for data, mine in zip(texts, ours, strict=True):
        text, places = (data.decode(), range(len(data) + 1)) if data.isascii() else decoded(data)
        excused = not data.isascii() and may_differ(text)
        apart += excused
        tokens += mine.count(" ") // numbers
        theirs = their_line(tokenizer, text, places)
        if mine == theirs:
            continue
        if excused:
            apart_wrong += 1
            continue
        if is_tie(theirs, mine):
            ties += 1
            continue
        wrong += 1
        if wrong <= 3:
            print(f"  differs: {data!r}\n    theirs {theirs}\n    ours   {mine}")
    print(f"{name}; {source}: {len(texts)} texts, {tokens} tokens, {wrong} differ"
          + (f"; {ties} are cut otherwise with the same score" if ties else "")
          + (f"; {apart} of the texts may differ for what docs/tokenizers.md lists, and {apart_wrong} of these do"
             if apart else ""), flush=True)
    return wrong == 0


def check_decoding(name, tokenizer, folder, texts, work):
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    with open(work / "ids", "w") as file:
        file.writelines(" ".join(map(str, each)) + "\n" for each in ids)
    with open(work / "ids") as file:
        ours = subprocess.run([PROGRAM, str(folder), "decode"], check=True, stdin=file, capture_output=True).stdout
    theirs = b"".join(tokenizer.decode(each, skip_special_tokens=True).encode() + b"\0" for each in ids)
    print(f"{name}; decoding {len(texts)} texts: {'equal' if ours == theirs else 'DIFFERENT'}")
    return ours == theirs


def speed(work):
    lines = (DATA / "wikitext-2" / "train.txt").read_text(encoding="utf-8").split("\n")
    size = sum(len(line.encode()) for line in lines)
    for name, tokenizer, folder in cases(work):
        if name.endswith("tokenizer.json"):
            continue
        begin = time.process_time()
        for line in lines:
            tokenizer.encode(line, add_special_tokens=False)
        one = time.process_time() - begin
        begin = time.process_time()
        tokenizer.encode_batch(lines, add_special_tokens=False)
        batch = time.process_time() - begin
        with open(DATA / "wikitext-2" / "train.txt", "rb") as file:
            ours = subprocess.run([PROGRAM, str(folder), "speed"], check=True, stdin=file, capture_output=True, text=True)
        print(f"{name}: tokenizers encode {size / 1e6 / one:.2f} MB/s, encode_batch {size / 1e6 / batch:.2f} MB/s; ours "
              + ", ".join(ours.stdout.splitlines()), flush=True)


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        if MODE == "--speed":
            return speed(work)
        found = differences()
        if MODE == "--differences":
            return print_differences(found)
        different = set().union(*found.values())
        print(f"tokenizers {tokenizers.__version__}: {len(different)} code points differ in their Unicode version")
        full = MODE == "--full"
        right = True
        if full:
            sources = [*data_texts(), ("random texts", random_texts(100_000))]
        else:
            lines = (DATA / "wikitext-2" / "test.txt").read_text(encoding="utf-8").split("\n")
            sources = [("WikiText-2 test", lines[:1000]), ("random texts", random_texts(3000))]
        for name, tokenizer, folder in cases(work):
            used = sources[-1:] if name.endswith("tokenizer.json") else sources  # the former: random texts alone
            for source, texts in used:
                right &= compare(name, tokenizer, folder, source, texts, found, work)
            specials = texts_with_specials(BERT if name.startswith("BERT") else ROBERTA, 20_000 if full else 1000)
            right &= compare(name, tokenizer, folder, "special tokens as text", specials, found, work)
            if is_xlm_roberta(tokenizer):  # the rest is what SentencePiece does, and not what this package does
                continue
            right &= compare(name, tokenizer, folder, "special tokens", specials, found, work, "special")
            right &= compare(name, tokenizer, folder, "no UTF-8", broken_texts(20_000 if full else 1000), found, work)
            right &= check_decoding(name, tokenizer, folder, used[0][1][:1000], work)
        sys.exit(0 if right else 1)


main()
