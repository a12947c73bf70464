/* What the terms of stories have in common, compiled: the inner loops of grouping.

   Optional: where this is not built, or MONITOR_PURE is set, overlap.py does the same in Python, and is the judge of it
   (tests/test_events_overlap.py). Terms are interned strings, so two are equal when they are one object. Numbers are
   reckoned in the order that Python takes, and built without contraction, so that both say the same to the last bit. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VERSION 1     /* of what Python and this file say to each other; see overlap.py */
#define MOST_TERMS 256 /* of a story; a sketch has fewer */
#define SLOTS 1024     /* at least twice as many as what is kept in them */
#define MOST_KEYS 512  /* looked at for one story */

static unsigned slot_of(uint64_t value)
{
    return (unsigned)((value * 0x9e3779b97f4a7c15u) >> 54); /* ten bits */
}

PyDoc_STRVAR(weigh_doc, "weigh(emphasis, common, counts, prior, stories, first, rarest, scale)\n--\n\n"
                        "Return each term's weight in a byte; see overlap.py.");

static PyObject *weigh(PyObject *self, PyObject *args)
{
    PyObject *emphasis, *common, *counts;
    double prior, stories, first, rarest, scale;
    unsigned char weights[MOST_TERMS];
    if (!PyArg_ParseTuple(args, "O!O!O!ddddd", &PyTuple_Type, &emphasis, &PyList_Type, &common, &PyList_Type, &counts,
                          &prior, &stories, &first, &rarest, &scale))
        return NULL;
    Py_ssize_t at, size = PyTuple_Size(emphasis);
    if (size > MOST_TERMS || PyList_Size(common) != size || PyList_Size(counts) != size)
        return PyErr_Format(PyExc_ValueError, "too many terms, or not as many of each");
    for (at = 0; at < size; at++) {
        double before = PyFloat_AsDouble(PyList_GetItem(counts, at));
        double share = (before + prior * PyFloat_AsDouble(PyList_GetItem(common, at))) / stories;
        double among = (before + 1) / first, emphasized = PyFloat_AsDouble(PyTuple_GetItem(emphasis, at));
        if (among > share)
            share = among;
        if (rarest > share)
            share = rarest;
        double weight = rint(-log(share) * emphasized * scale);
        weights[at] = weight >= 255 ? 255 : weight > 1 ? (unsigned char)weight : 1;
    }
    return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize((const char *)weights, size);
}

PyDoc_STRVAR(likely_doc, "likely(asked, latest, most)\n--\n\n"
                         "Return the keys that the postings asked share the most of; see overlap.py.");

typedef struct {
    int64_t key, squares;
} Found;

/* Add a square to each of the keys, which are kept in the order they are first met in. */
static int count_keys(Found *found, int16_t *slots, int count, const int64_t *keys, Py_ssize_t size, int64_t square)
{
    for (Py_ssize_t at = 0; at < size; at++) {
        unsigned slot = slot_of((uint64_t)keys[at]);
        while (slots[slot] && found[slots[slot] - 1].key != keys[at])
            slot = (slot + 1) % SLOTS;
        if (!slots[slot]) {
            if (count == MOST_KEYS)
                return -1;
            found[count].key = keys[at];
            found[count].squares = 0;
            slots[slot] = (int16_t)++count;
        }
        found[slots[slot] - 1].squares += square;
    }
    return count;
}

static PyObject *likely(PyObject *self, PyObject *args)
{
    PyObject *asked;
    Py_ssize_t latest, most, at, size;
    Found found[MOST_KEYS];
    int16_t slots[SLOTS], best[MOST_KEYS];
    int count = 0, kept = 0;
    if (!PyArg_ParseTuple(args, "O!nn", &PyList_Type, &asked, &latest, &most))
        return NULL;
    memset(slots, 0, sizeof slots);
    for (at = 0, size = PyList_Size(asked); at < size; at++) {
        long weight;
        PyObject *posting;
        Py_buffer view;
        if (!PyArg_ParseTuple(PyList_GetItem(asked, at), "lO", &weight, &posting) ||
            PyObject_GetBuffer(posting, &view, PyBUF_SIMPLE) < 0)
            return NULL;
        const int64_t *keys = view.buf;
        Py_ssize_t keys_held = view.len / (Py_ssize_t)sizeof *keys, from = keys_held - latest;
        from = from < 1 ? 1 : from; /* the first is how many there are */
        if (from < keys_held)
            count = count_keys(found, slots, count, keys + from, keys_held - from, (int64_t)weight * weight);
        PyBuffer_Release(&view);
        if (count < 0)
            return PyErr_Format(PyExc_ValueError, "too many keys");
    }
    most = most > MOST_KEYS ? MOST_KEYS : most < 0 ? 0 : most;
    for (at = 0; at < count; at++) { /* of equal ones the first met comes first, as by sorting */
        int place = kept;
        while (place > 0 && found[best[place - 1]].squares < found[at].squares)
            place--;
        if (place >= most)
            continue;
        kept = kept < most ? kept + 1 : kept;
        memmove(best + place + 1, best + place, (size_t)(kept - place - 1) * sizeof *best);
        best[place] = (int16_t)at;
    }
    PyObject *keys = PyList_New(kept);
    for (at = 0; keys && at < kept; at++) {
        PyObject *key = PyLong_FromLongLong(found[best[at]].key);
        if (key == NULL || PyList_SetItem(keys, at, key) < 0)
            Py_CLEAR(keys);
    }
    return keys;
}

PyDoc_STRVAR(overlaps_doc, "overlaps(terms, weights, content, names, title_terms, stories)\n--\n\n"
                           "Return what a story shares with each of others; see overlap.py.");

typedef struct {
    PyObject *terms[MOST_TERMS]; /* borrowed */
    uint8_t weights[MOST_TERMS], content[MOST_TERMS];
    uint64_t names;
    Py_ssize_t size, title_terms;
    int16_t slots[SLOTS];
} Asking;

static int is_name(uint64_t names, Py_ssize_t at)
{
    return at < 64 && names >> at & 1;
}

/* Return the place of a term in the story that asks, or -1. */
static Py_ssize_t place_of(const Asking *asking, PyObject *term)
{
    unsigned slot = slot_of((uint64_t)(uintptr_t)term);
    for (; asking->slots[slot]; slot = (slot + 1) % SLOTS)
        if (asking->terms[asking->slots[slot] - 1] == term)
            return asking->slots[slot] - 1;
    return -1;
}

static PyObject *overlap(const Asking *asking, PyObject *story)
{
    PyObject *terms;
    const char *bytes;
    Py_ssize_t size, title_terms, at, before = -1;
    unsigned long long names;
    long product = 0, shared = 0, runs = 0;
    int met = 0;
    if (!PyArg_ParseTuple(story, "O!y#Kn", &PyTuple_Type, &terms, &bytes, &size, &names, &title_terms))
        return NULL;
    if (PyTuple_Size(terms) != size)
        return PyErr_Format(PyExc_ValueError, "not as many weights as terms");
    for (at = 0; at < size; at++) {
        Py_ssize_t place = place_of(asking, PyTuple_GetItem(terms, at));
        if (place >= 0) {
            product += (long)asking->weights[place] * (unsigned char)bytes[at];
            shared += asking->content[place];
            met |= is_name(asking->names, place) || is_name(names, at);
            /* The words of one name follow one another wherever it stands: that says no more than the name. */
            if (before >= 0 && place == before + 1 && place < asking->title_terms && at < title_terms)
                runs += !is_name(asking->names, before) || !is_name(asking->names, place);
        }
        before = place;
    }
    return Py_BuildValue("lllO", product, shared, runs, met ? Py_True : Py_False);
}

static PyObject *overlaps(PyObject *self, PyObject *args)
{
    Asking asking;
    PyObject *terms, *stories;
    const char *weights, *content;
    unsigned long long names;
    Py_ssize_t at, many, weight_count, content_count;
    if (!PyArg_ParseTuple(args, "O!y#y#KnO!", &PyTuple_Type, &terms, &weights, &weight_count, &content, &content_count,
                          &names, &asking.title_terms, &PyList_Type, &stories))
        return NULL;
    asking.size = PyTuple_Size(terms);
    if (asking.size > MOST_TERMS || weight_count != asking.size || content_count != asking.size)
        return PyErr_Format(PyExc_ValueError, "too many terms, or not as many of each");
    asking.names = names;
    memcpy(asking.weights, weights, (size_t)asking.size);
    memcpy(asking.content, content, (size_t)asking.size);
    memset(asking.slots, 0, sizeof asking.slots);
    for (at = 0; at < asking.size; at++) {
        PyObject *term = asking.terms[at] = PyTuple_GetItem(terms, at);
        unsigned slot = slot_of((uint64_t)(uintptr_t)term);
        while (asking.slots[slot])
            slot = (slot + 1) % SLOTS;
        asking.slots[slot] = (int16_t)(at + 1);
    }
    many = PyList_Size(stories);
    PyObject *found = PyList_New(many);
    for (at = 0; found && at < many; at++) {
        PyObject *one = overlap(&asking, PyList_GetItem(stories, at));
        if (one == NULL || PyList_SetItem(found, at, one) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyMethodDef functions[] = {{"weigh", weigh, METH_VARARGS, weigh_doc},
                                  {"likely", likely, METH_VARARGS, likely_doc},
                                  {"overlaps", overlaps, METH_VARARGS, overlaps_doc},
                                  {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_overlap", "What stories share, compiled.", -1, functions,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__overlap(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddIntConstant(made, "VERSION", VERSION) < 0)
        Py_CLEAR(made);
    return made;
}
