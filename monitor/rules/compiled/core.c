/* The matching of stories, compiled: folding, scanning, sifting and deciding over rows of numbers that lie side by side.

   One file to the compiler, in parts: folding, rows (what all is kept in), scanning, deciding, telling, making.

   Optional: where this is not built, or MONITOR_PURE is set, folded.py, index.py, engine.py and evaluate.py do the same
   in Python, and are the judges of it (tests/test_rules_core.py). What is rare is left to them: `fold` returns None for
   a text whose folding depends on neighbours in ways of their own, `match` names the topics that it did not decide.

   Everything is checked where it comes in (sizes, numbers, programs); what then runs trusts it. No Python code runs
   while a story is scanned and decided. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#define VERSION 3        /* of what Python and this file say to each other; see flat.py */
#define MAX_SPANS 5000   /* evaluate.LOOKED_AT: a topic with more is decided in Python, which knows what to leave out */
#define MAX_EVIDENCE 200 /* values.MAX_EVIDENCE */
#define FIELD_GAP 1000   /* folded.FIELD_GAP */
#define LEAD_WORDS 60    /* reading.LEAD_WORDS */
#define MAX_DEPTH 50     /* of a program's nesting */
#define KEY_WORDS 8      /* a pattern is looked up by its first words, so that a story's repetitions cost no square */
#define MAX_SIZE 0x20000000 /* bytes of a story and of all patterns: places are 32 bits wide */

#include "folding.c"
#include "rows.c"
#include "scanning.c"
#include "deciding.c"
#include "telling.c"

/* ---- scratch: one is kept for the next story; who comes meanwhile (a finalizer, another thread) makes another */

static void free_scratch(Scratch *s)
{
    if (s == NULL)
        return;
    free(s->seen);
    free(s->asked);
    free(s->chains);
    free(s->words);
    free(s->runs);
    free(s->found);
    free(s->asking);
    free(s->undecided);
    free(s->hits);
    free(s->spans);
    free(s->groups);
    free(s->matches);
    free(s->shown);
    free(s->names);
    free(s);
}

static Scratch *take_scratch(Matcher *m)
{
    Scratch *s = m->idle;
    if (!m->ready) {
        PyErr_SetString(PyExc_ValueError, "a matcher without rules");
        return NULL;
    }
    size_t patterns = (size_t)m->patterns + 1, topics = (size_t)m->topics + 1;
    if (s != NULL) {
        m->idle = NULL;
        return s;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return (Scratch *)PyErr_NoMemory();
    s->hit_room = 256;
    s->shown_room = 4 * MAX_EVIDENCE;
    s->seen = calloc(patterns / 64 + 1, sizeof *s->seen);
    s->asked = calloc(topics / 64 + 1, sizeof *s->asked);
    s->chains = malloc(patterns * sizeof *s->chains);
    s->found = malloc(patterns * sizeof *s->found);
    s->asking = malloc(topics * sizeof *s->asking);
    s->undecided = malloc(topics * sizeof *s->undecided);
    s->hits = malloc((size_t)s->hit_room * sizeof *s->hits);
    s->spans = malloc(MAX_SPANS * sizeof *s->spans);
    s->groups = malloc(MAX_SPANS * sizeof *s->groups);
    s->matches = malloc(topics * sizeof *s->matches);
    s->shown = malloc((size_t)s->shown_room * sizeof *s->shown);
    if (!s->seen || !s->asked || !s->chains || !s->found || !s->asking || !s->undecided || !s->hits ||
        !s->spans || !s->groups || !s->matches || !s->shown) {
        free_scratch(s);
        return (Scratch *)PyErr_NoMemory();
    }
    return s;
}

static void give_back(Matcher *m, Scratch *s)
{
    int32_t at;
    for (at = 0; at < s->found_count; at++)
        s->seen[s->found[at] >> 6] = 0;
    for (at = 0; at < s->asking_count; at++)
        s->asked[s->asking[at].topic >> 6] = 0;
    s->overflown = 0;
    memset(&s->way, 0, sizeof s->way);
    s->guess_count = 0;
    s->word_count = s->run_count = 0;
    s->name_count = s->names_known = 0;
    s->found_count = s->asking_count = s->undecided_count = s->hit_count = s->match_count = s->shown_count = 0;
    if (m->idle == NULL && s->hit_room < 1 << 16 && s->word_room < 1 << 16)
        m->idle = s;
    else
        free_scratch(s);
}

PyDoc_STRVAR(match_doc, "match(data, joined, origins, before, place)\n--\n\n"
                        "Return the numbers of the topics that hold, ascending, and their TopicMatches; the numbers of\n"
                        "those that may hold; and, where there are any, the places of the patterns that these may ask for.");

/* Make what `match` returns. */
static PyObject *told(const Matcher *m, const Scratch *s)
{
    PyObject *matched = PyList_New(s->match_count), *held = PyList_New(s->match_count), *result = NULL;
    PyObject *open = numbers(s->undecided, s->undecided_count), *hits = NULL;
    int32_t at, shown;
    for (at = 0; at < s->match_count; at++) {
        const Match *match = &s->matches[at];
        __builtin_prefetch(m->labels[2 * (size_t)match->topic]);
        __builtin_prefetch(m->labels[2 * (size_t)match->topic + 1]);
        for (shown = match->from; shown < match->to; shown++)
            __builtin_prefetch(*s->shown[shown].term);
    }
    for (at = 0; matched != NULL && held != NULL && at < s->match_count; at++) {
        PyObject *number = PyLong_FromLong(s->matches[at].topic), *match = topic_match(m, s, &s->matches[at]);
        if (number == NULL || match == NULL) {
            Py_XDECREF(number);
            Py_XDECREF(match);
            Py_CLEAR(held);
            break;
        }
        PyList_SetItem(held, at, number);
        PyList_SetItem(matched, at, match);
    }
    if (held != NULL && matched != NULL && open != NULL)
        hits = s->undecided_count ? places(m, s, s->overflown) : Py_NewRef(Py_None);
    if (hits != NULL)
        result = PyTuple_Pack(4, held, matched, open, hits);
    Py_XDECREF(held);
    Py_XDECREF(matched);
    Py_XDECREF(open);
    Py_XDECREF(hits);
    return result;
}

static PyObject *matcher_match(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *origins, *result = NULL, *no_entity;
    Py_buffer map = {0};
    Way way = {0};
    Scratch *s;
    if (!PyArg_ParseTuple(args, "y#UO(iii)O", &data, &size, &way.joined, &origins, &way.before[0], &way.before[1],
                          &way.before[2], &way.place))
        return NULL;
    if (size > MAX_SIZE || size < 1 || data[0] != ' ' || data[size - 1] != ' ') {
        PyErr_SetString(PyExc_ValueError, "no folded story");
        return NULL;
    }
    if (origins != Py_None) {
        if (PyObject_GetBuffer(origins, &map, PyBUF_SIMPLE) < 0)
            return NULL;
        if (map.len != size * (Py_ssize_t)sizeof(int32_t)) {
            PyBuffer_Release(&map);
            PyErr_SetString(PyExc_ValueError, "one origin is wanted for every byte");
            return NULL;
        }
        way.origins = map.buf;
    }
    no_entity = way.no_entity = PyUnicode_FromStringAndSize("", 0);
    s = no_entity == NULL ? NULL : take_scratch(m);
    if (s != NULL) {
        s->way = way;
        if (scan(m, s, (const unsigned char *)data, (int32_t)size) && decide_all(m, s))
            result = told(m, s);
        else
            PyErr_NoMemory();
        give_back(m, s);
    }
    Py_XDECREF(no_entity);
    if (map.obj != NULL)
        PyBuffer_Release(&map);
    return result;
}

PyDoc_STRVAR(places_doc, "places(data)\n--\n\nReturn where each pattern stands that is found in a folded story.");

static PyObject *matcher_places(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *found = NULL;
    Scratch *s;
    if (!PyArg_ParseTuple(args, "y#", &data, &size))
        return NULL;
    if (size > MAX_SIZE) {
        PyErr_SetString(PyExc_ValueError, "no folded story");
        return NULL;
    }
    s = take_scratch(m);
    if (s == NULL)
        return NULL;
    if (scan(m, s, (const unsigned char *)data, (int32_t)size))
        found = places(m, s, 1);
    else
        PyErr_NoMemory();
    give_back(m, s);
    return found;
}

PyDoc_STRVAR(candidates_doc, "candidates(data)\n--\n\nReturn the numbers of the topics of which a folded story has "
                             "something of all that they need.");

static PyObject *matcher_candidates(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *found = NULL;
    Scratch *s;
    int32_t at;
    if (!PyArg_ParseTuple(args, "y#", &data, &size))
        return NULL;
    if (size > MAX_SIZE) {
        PyErr_SetString(PyExc_ValueError, "no folded story");
        return NULL;
    }
    s = take_scratch(m);
    if (s == NULL)
        return NULL;
    if (scan(m, s, (const unsigned char *)data, (int32_t)size)) {
        ask_all(m, s);
        for (at = 0; at < s->asking_count; at++)
            if (has_needs(m, s, s->asking[at].topic))
                s->undecided[s->undecided_count++] = s->asking[at].topic;
        found = numbers(s->undecided, s->undecided_count);
    } else
        PyErr_NoMemory();
    give_back(m, s);
    return found;
}

#include "making.c"

PyDoc_STRVAR(number_doc, "number(pattern)\n--\n\nReturn the number of a pattern, -1 where there is none.");

static PyObject *matcher_number(Matcher *m, PyObject *args)
{
    const char *text;
    Py_ssize_t size;
    int32_t pattern = -1;
    if (!PyArg_ParseTuple(args, "y#", &text, &size))
        return NULL;
    if (m->ready && size >= 2 && size <= MAX_SIZE) {
        uint8_t shape;
        uint64_t hash = key_of(NULL, (const unsigned char *)text, (int32_t)size, &shape);
        pattern = first_with(m, hash);
        while (pattern >= 0 && (length_of(m, pattern) != size || memcmp(m->text + m->rows[pattern].text, text, size)))
            pattern = m->rows[pattern].next;
    }
    return PyLong_FromLong(pattern);
}

static PyMemberDef matcher_members[] = {
    {"patterns", T_INT, offsetof(Matcher, patterns), READONLY, "how many patterns it has"},
    {"terms", T_INT, offsetof(Matcher, term_count), READONLY, "how many texts of terms"},
    {"exacts", T_INT, offsetof(Matcher, exact_count), READONLY, "how many exact texts"},
    {NULL, 0, 0, 0, NULL}};

static PyMethodDef matcher_methods[] = {{"match", (PyCFunction)matcher_match, METH_VARARGS, match_doc},
                                        {"places", (PyCFunction)matcher_places, METH_VARARGS, places_doc},
                                        {"number", (PyCFunction)matcher_number, METH_VARARGS, number_doc},
                                        {"candidates", (PyCFunction)matcher_candidates, METH_VARARGS, candidates_doc},
                                        {NULL, NULL, 0, NULL}};

static PyType_Slot matcher_slots[] = {{Py_tp_init, matcher_init},
                                      {Py_tp_dealloc, matcher_free},
                                      {Py_tp_methods, matcher_methods},
                                      {Py_tp_members, matcher_members},
                                      {Py_tp_doc, "Compiled patterns and topics, of what flat.Layout lays out."},
                                      {0, NULL}};

static PyType_Spec matcher_spec = {"monitor.rules._core.Matcher", sizeof(Matcher), 0, Py_TPFLAGS_DEFAULT, matcher_slots};

static PyMethodDef functions[] = {{"fold", fold, METH_VARARGS, fold_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "The matching of stories, compiled.", -1, functions,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *made = PyModule_Create(&module), *matcher = made ? PyType_FromSpec(&matcher_spec) : NULL;
    if (matcher == NULL || PyModule_AddObjectRef(made, "Matcher", matcher) < 0 ||
        PyModule_AddIntConstant(made, "VERSION", VERSION) < 0)
        Py_CLEAR(made);
    Py_XDECREF(matcher);
    return made;
}
