/* What every request does for the metrics. cells.py and headers.py say what it is for, and do
   the same in Python where this was not built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    Py_ssize_t count;
} Cells;

/* Takes hold of writable memory that begins at a word; -1 with an exception if it does not. */
static int
hold(PyObject *memory, Py_buffer *held)
{
    if (PyObject_GetBuffer(memory, held, PyBUF_CONTIG) < 0)
        return -1;
    if ((uintptr_t)held->buf % sizeof(int64_t) != 0) {
        PyErr_SetString(PyExc_ValueError, "memory that does not begin at a word");
        PyBuffer_Release(held);
        return -1;
    }
    return 0;
}

static PyObject *
cells_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", NULL};
    PyObject *memory;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Cells", names, &memory))
        return NULL;
    Cells *self = (Cells *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (hold(memory, &self->memory) < 0) {
        self->memory.obj = NULL;
        Py_DECREF(self);
        return NULL;
    }
    self->count = self->memory.len / (Py_ssize_t)sizeof(int64_t);
    return (PyObject *)self;
}

static void
cells_dealloc(Cells *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->memory.obj != NULL)
        PyBuffer_Release(&self->memory);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Only an int has no code of its own to run while it is read. */
static int
read_int(PyObject *object, long long *number)
{
    if (!PyLong_CheckExact(object)) {
        PyErr_SetString(PyExc_TypeError, "places and numbers are ints");
        return -1;
    }
    *number = PyLong_AsLongLong(object);
    return *number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *
cells_add(Cells *self, PyObject *const *args, Py_ssize_t size)
{
    enum { MOST = 32 };
    long long numbers[MOST];
    if (size > MOST || size % 2 != 0) {
        PyErr_SetString(PyExc_TypeError, "add() takes up to 16 pairs of place and number");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if (read_int(args[i], &numbers[i]) < 0)
            return NULL;
        if (i % 2 == 0 && (numbers[i] < 0 || numbers[i] >= self->count)) {
            PyErr_SetString(PyExc_IndexError, "there is no such cell");
            return NULL;
        }
    }
    /* Each word is stored at once: another process reads it before or after, never amid. */
    volatile int64_t *words = self->memory.buf;
    for (Py_ssize_t i = 0; i < size; i += 2)
        words[numbers[i]] = (int64_t)((uint64_t)words[numbers[i]] + (uint64_t)numbers[i + 1]);
    Py_RETURN_NONE;
}

static PyObject *
cells_move_to(Cells *self, PyObject *memory)
{
    Py_buffer held;
    if (hold(memory, &held) < 0)
        return NULL;
    if (held.len != self->memory.len) {
        PyErr_SetString(PyExc_ValueError, "memory of another size");
        PyBuffer_Release(&held);
        return NULL;
    }
    memcpy(held.buf, self->memory.buf, (size_t)held.len);
    Py_buffer left = self->memory;
    self->memory = held;
    PyBuffer_Release(&left);
    Py_RETURN_NONE;
}

static PyObject *
cells_forget_lock(Cells *self, PyObject *ignored)
{
    (void)self, (void)ignored;
    Py_RETURN_NONE;
}

static PyMethodDef cells_methods[] = {
    {"add", (PyCFunction)(void (*)(void))cells_add, METH_FASTCALL, NULL},
    {"forget_lock", (PyCFunction)cells_forget_lock, METH_NOARGS, NULL},
    {"move_to", (PyCFunction)cells_move_to, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cells_slots[] = {
    {Py_tp_new, cells_new},
    {Py_tp_dealloc, cells_dealloc},
    {Py_tp_methods, cells_methods},
    {0, NULL},
};

static PyType_Spec cells_spec = {
    .name = "flaskprof.metrics._request.Cells",
    .basicsize = sizeof(Cells),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cells_slots,
};

/* Whether text is `Content-Length`, in whatever case. */
static int
is_content_length(PyObject *text)
{
    static const char wanted[] = "content-length";
    if (!PyUnicode_CheckExact(text) || PyUnicode_GET_LENGTH(text) != sizeof wanted - 1
        || !PyUnicode_IS_ASCII(text))
        return 0;
    const Py_UCS1 *letters = PyUnicode_1BYTE_DATA(text);
    for (size_t i = 0; i < sizeof wanted - 1; i++)
        if (Py_TOLOWER(letters[i]) != wanted[i])
            return 0;
    return 1;
}

static PyObject *
content_length(PyObject *module, PyObject *headers)
{
    (void)module;
    if (!PyList_CheckExact(headers))
        Py_RETURN_NONE;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        PyObject *header = PyList_GET_ITEM(headers, i);
        if (!PyTuple_CheckExact(header) || PyTuple_GET_SIZE(header) != 2
            || !is_content_length(PyTuple_GET_ITEM(header, 0)))
            continue;
        PyObject *value = PyTuple_GET_ITEM(header, 1);
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_ASCII(value))
            Py_RETURN_NONE;
        Py_ssize_t digits = PyUnicode_GET_LENGTH(value);
        if (digits < 1 || digits > 15)
            Py_RETURN_NONE;
        long long length = 0;
        for (Py_ssize_t at = 0; at < digits; at++) {
            Py_UCS1 digit = PyUnicode_1BYTE_DATA(value)[at];
            if (!Py_ISDIGIT(digit))
                Py_RETURN_NONE;
            length = length * 10 + (digit - '0');
        }
        return PyLong_FromLongLong(length);
    }
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"content_length", content_length, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &cells_spec, NULL);
    if (type == NULL)
        return -1;
    int added = PyModule_AddObjectRef(module, "Cells", type);
    Py_DECREF(type);
    return added;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "flaskprof.metrics._request",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__request(void)
{
    return PyModuleDef_Init(&module_definition);
}
