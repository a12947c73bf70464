"""Words, folding, sentences and cleaning, in many scripts."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.text import clean, fold, folded_words, sentences, words, written_words

# Two spellings that are one word.
SAME = [
    ("Bogotá", "bogota"),
    ("Αθήνα", "αθηνα"),
    ("ΟΔΟΣ", "οδος"),  # the final sigma
    ("Straße", "STRASSE"),
    ("İstanbul", "istanbul"),
    ("ıstanbul", "ISTANBUL"),
    ("Łódź", "lodz"),
    ("Ærø", "aero"),
    ("Œuvre", "oeuvre"),
    ("Þingvellir", "thingvellir"),
    ("Đặng", "dang"),
    ("Ёлка", "елка"),
    ("Росси́я", "россия"),  # a stress mark
    ("cafe\u0301", "CAFÉ"),  # decomposed
    ("ﬁnance", "finance"),  # a ligature
    ("ＮＡＴＯ", "nato"),  # full width
    ("ｶﾞｽ", "ガス"),  # half-width kana
    ("か\u3099", "が"),  # a decomposed voicing mark
    ("مُحَمَّد", "محمد"),  # vowel marks
    ("العـــراق", "العراق"),  # tatweel
    ("أحمد", "احمد"),
    ("إيران", "ايران"),
    ("آسيا", "اسيا"),
    ("على", "علي"),
    ("ایران", "ايران"),  # Persian ya
    ("ﻻ", "لا"),  # presentation form
    ("שָׁלוֹם", "שלום"),  # niqqud
    ("٢٠٢٤", "2024"),
    ("co\u00adoperate", "cooperate"),  # soft hyphen
    ("می\u200cخواهم", "میخواهم"),  # zero-width non-joiner
    ("Tórshavn", "torshavn"),
    ("½", "½"),
    ("STRAẞE", "straße"),
    ("ĲSSEL", "ijssel"),
    ("col\u0140eccio", "colleccio"),
    ("И\u0306од", "йод"),  # decomposed
    ("ﷲ", "الله"),
    ("ﾊﾟﾘ", "パリ"),
    ("1\ufe0f\u20e3", "1"),  # a keycap
    ("Việt", "vie\u0302\u0323t"),
    ("क्\u200dष", "क्ष"),  # a joiner
    ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),  # decomposed
]

# Two words that stay apart.
DIFFERENT = [("май", "маи"), ("が", "か"), ("ї", "i"), ("हिन्दी", "हन्द"), ("ð", "t"), ("工", "エ")]

# A text and its words as published.
SPLIT = [
    ("Border patrol", ["Border", "patrol"]),
    ("al-Shabaab", ["al", "Shabaab"]),
    ("and/or", ["and", "or"]),
    ("snake_case", ["snake", "case"]),
    ("U.S.", ["U", "S"]),
    ("AT&T", ["AT", "T"]),
    ("O’Brien’s", ["O", "Brien"]),
    ("Petro's plan", ["Petro", "plan"]),
    ("Petro’S plan", ["Petro", "plan"]),
    ("Jose\u0301's plan", ["Jose\u0301", "plan"]),
    ("the soldiers' pay", ["the", "soldiers", "pay"]),
    ("Petro‘s Petro′s Petro´s Petro`s Petroʼs Petro＇s", ["Petro"] * 6),
    ("the letter s", ["the", "letter", "s"]),
    ("l'armée", ["l", "armée"]),
    ("здоров'я здоров’я здоровʼя", ["здоров", "я"] * 3),
    ("COVID-19", ["COVID", "19"]),
    ("1,000", ["1", "000"]),
    ("m²", ["m"]),
    ("हिन्दी में", ["हिन्दी", "में"]),
    ("বাংলা", ["বাংলা"]),
    ("தமிழ்", ["தமிழ்"]),
    ("مُحَمَّد رسول", ["مُحَمَّد", "رسول"]),
    ("한국 군대가", ["한국", "군대가"]),
    ("北京iPhone手机", ["北", "京", "iPhone", "手", "机"]),
    ("ประเทศไทย", ["ป", "ร", "ะ", "เ", "ท", "ศ", "ไ", "ท", "ย"]),
    ("น้ำ", ["น้", "ำ"]),  # the tone mark stays with its letter
    ("กันย์ 10", ["กั", "น", "ย์", "10"]),
    ("မြန်မာ", ["မြ", "န်", "မာ"]),
    ("か\u3099ス", ["か\u3099", "ス"]),
    ("💥 war 🇺🇦", ["war"]),
    ("war🇺🇦peace❤️love", ["war", "peace", "love"]),
    ("👨\u200d👩\u200d👧 family 1\ufe0f\u20e3", ["family", "1"]),
    ("\u200fحرب\u200f", ["حرب"]),
    ("word\u200b", ["word"]),  # what is not seen is not highlighted
    ("", []),
    ("?!… —", []),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_word_fold_to_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(("text", "expected"), SPLIT)
def test_a_text_falls_into_its_words(text: str, expected: list[str]) -> None:
    assert [text[word.start : word.end] for word in words(text)] == expected
    assert [word for word, _ in written_words(text)] == expected


def test_written_words_come_with_what_stands_between_them() -> None:
    latin = [("Trump", ""), ("New", " "), ("York", ""), ("Señor", ""), ("trip", "")]
    assert written_words("Trump's  New York—“Señor” trip") == latin
    assert written_words("US 习近 平") == [("US", " "), ("习", ""), ("近", " "), ("平", ".")]


@settings(deadline=None)
@given(st.text())
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(st.text())
def test_words_stand_in_order_where_they_say(text: str) -> None:
    end = 0
    for word in words(text):
        assert end <= word.start < word.end <= len(text)
        assert word.folded == fold(text[word.start : word.end])
        end = word.end


@settings(deadline=None)
@given(st.text() | st.text("aS s'`’é-"))
def test_words_without_their_places_are_the_same_words(text: str) -> None:
    assert folded_words(text) == tuple(word.folded for word in words(text))


@settings(deadline=None)
@given(st.text())
def test_composed_and_decomposed_text_has_the_same_words(text: str) -> None:
    forms = [[w.folded for w in words(unicodedata.normalize(form, clean(text)))] for form in ("NFC", "NFD")]
    assert forms[0] == forms[1]


def test_offsets_stay_right_where_folding_changes_lengths() -> None:
    text = "Die Straße der ﬁnalen Œuvres"
    assert [(w.folded, w.start, w.end) for w in words(text)][1:4:2] == [("strasse", 4, 10), ("finalen", 15, 21)]


SENTENCES = [
    ("One. Two! Three?", ["One.", " Two!", " Three?"]),
    ("Mr. Smith met Dr. Who.", ["Mr. Smith met Dr. Who."]),
    ("The U.S. army. It left.", ["The U.S. army.", " It left."]),
    ("It fell 3.5 per cent.", ["It fell 3.5 per cent."]),
    ('He said "no." She left.', ['He said "no."', " She left."]),
    ("战争开始。部队出动！", ["战争开始。", "部队出动！"]),
    ("ماذا حدث؟ لا شيء.", ["ماذا حدث؟", " لا شيء."]),
    ("Headline\nBody", ["Headline\n", "Body"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_a_text_falls_into_its_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@settings(deadline=None)
@given(st.text())
def test_sentences_cover_the_text(text: str) -> None:
    assert "".join(text[start:end] for start, end in sentences(text)) == text


CLEANED = [
    ("a\x00b\x07c\x9fd", "abcd"),
    ("a\tb\r\nc \u00a0 d\u3000e", "a b c d e"),
    ("  a  ", "a"),
    ("\u202eevil\u202c \u200fx\u061c", "evil x"),
    ("a\ud800b", "ab"),
    ("\ud83d\ude00", "😀"),  # a surrogate pair, as broken JSON writes it
    ("e\u0301", "é"),
    ("می\u200cخواهم", "می\u200cخواهم"),  # a joiner is spelling
    ("x\ufffe\uffff", "x"),
]


@pytest.mark.parametrize(("text", "expected"), CLEANED)
def test_what_could_harm_is_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected


@settings(deadline=None)
@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Z", "C"))))
def test_cleaned_text_can_be_stored_and_is_clean(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    ["a" + "\u0301\u0316" * 200_000, "a" * 1_000_000, "é" * 1_000_000, "a's" * 200_000, "!" * 500_000, "A. " * 200_000],
    ids=["marks", "one word", "one accented word", "possessives", "stops", "initials"],
)
def test_hostile_text_takes_no_more_than_seconds(text: str) -> None:
    started = time.process_time()
    words(text)
    fold(text)
    clean(text)
    sentences(text)
    assert time.process_time() - started < 5  # under two on a quiet machine
