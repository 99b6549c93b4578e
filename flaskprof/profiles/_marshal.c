/* Reads the .prof files that profilers ordinarily write. marshal_reader.py says what is in
   them, and is the measure of what is read here.

   What is out of the ordinary, be it wrong or merely rare, is refused without a word:
   marshal_reader.py reads it, or says what is wrong with it. All bytes are read through one
   cursor that knows where they end; nothing is allocated for what they only announce. A large
   file is read without the interpreter lock, which is taken for the objects that are made of
   it at the end. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The type codes of marshal, and the bit of those that are numbered to be referred to. */
enum {
    REMEMBERED = 0x80,
    END = '0',
    DICT = '{',
    TUPLE = '(',
    SHORT_TUPLE = ')',
    REFERENCE = 'r',
    INTEGER = 'i',
    REAL = 'g',
};

/* What was remembered is a word each: its kind, and above it the place in the file of a
   number, or the number of a text or function. Any other value is known by its number only. */
enum { KIND_OTHER, KIND_INTEGER, KIND_REAL, KIND_TEXT, KIND_FUNCTION };
enum { KIND_BITS = 3, KIND_MASK = (1 << KIND_BITS) - 1 };

/* So that each place in the file, and the number of anything in it, has room in a word. */
static const size_t MOST_BYTES = UINT32_MAX >> KIND_BITS;

/* A file of fewer bytes is read in less time than it may take to get the lock back. */
static const size_t FEW_BYTES = 1 << 18;

/* Half of the slots of a table are free, so that chance hardly ever takes a dozen steps to
   one. A file that is made to take more is none of ours. */
enum { MOST_STEPS = 64, FEWEST_SLOTS = 1 << 10 };

static const uint32_t NONE = UINT32_MAX;

/* Items of one size, which each use of it names. */
typedef struct {
    char *bytes;
    size_t count, room;
} Items;

typedef struct {
    uint32_t hash;
    uint32_t item; /* its number plus one; 0 in a free slot */
} Slot;

typedef struct {
    Slot *slots;
    size_t room; /* a power of two, or 0 at first */
} Table;

typedef struct {
    uint32_t at, length, characters;
} Text;

typedef struct {
    uint32_t file, name; /* of the texts */
    int32_t line;
    uint32_t row;  /* NONE while it is known as a caller only */
    uint32_t seen; /* the row that it was a caller of last */
} Function;

/* Calls, primitive calls, and the bits of self and cumulative seconds. */
enum { SUMS = 4 };
typedef uint64_t Sums[SUMS];

typedef struct {
    const unsigned char *data;
    size_t size, at;
    const char *mark; /* the name of a function that no ordinary file has */
    Py_ssize_t mark_length;
    Py_ssize_t most_functions, most_edges, most_name_bytes, most_characters;
    double most_seconds;

    size_t characters;
    Items values;
    Items texts;
    Items functions;
    Table known_texts;
    Table known_functions;

    /* The columns of the result. */
    Items total[SUMS];
    Items first_edge;
    Items caller;
    Items edges[SUMS];
} Reader;

static int
grow(Items *items, size_t size)
{
    size_t room = items->room ? 2 * items->room : 64;
    if (room > SIZE_MAX / size)
        return 0;
    char *bytes = realloc(items->bytes, room * size);
    if (bytes == NULL)
        return 0;
    items->bytes = bytes;
    items->room = room;
    return 1;
}

static inline int
append(Items *items, const void *item, size_t size)
{
    if (items->count == items->room && !grow(items, size))
        return 0;
    memcpy(items->bytes + items->count++ * size, item, size);
    return 1;
}

static inline int
append_word(Items *items, uint32_t word)
{
    return append(items, &word, sizeof word);
}

static int
append_sums(Items columns[SUMS], const Sums sums)
{
    for (int i = 0; i < SUMS; i++)
        if (!append(&columns[i], &sums[i], sizeof sums[i]))
            return 0;
    return 1;
}

static void
release(Items *items)
{
    free(items->bytes);
    *items = (Items){0};
}

static void
release_table(Table *table)
{
    free(table->slots);
    *table = (Table){0};
}

/* Frees what is of use while the file is read. */
static void
release_known(Reader *reader)
{
    release(&reader->values);
    release_table(&reader->known_texts);
    release_table(&reader->known_functions);
}

static void
release_all(Reader *reader)
{
    release_known(reader);
    release(&reader->texts);
    release(&reader->functions);
    release(&reader->first_edge);
    release(&reader->caller);
    for (int i = 0; i < SUMS; i++) {
        release(&reader->total[i]);
        release(&reader->edges[i]);
    }
}

static inline Text *
text_at(Reader *reader, uint32_t number)
{
    return (Text *)reader->texts.bytes + number;
}

static inline Function *
function_at(Reader *reader, uint32_t number)
{
    return (Function *)reader->functions.bytes + number;
}

/* The finalizer of MurmurHash3. */
static inline uint64_t
mix(uint64_t bits)
{
    bits ^= bits >> 33;
    bits *= 0xff51afd7ed558ccd;
    bits ^= bits >> 33;
    bits *= 0xc4ceb9fe1a85ec53;
    return bits ^ bits >> 33;
}

/* The slot at a step of the search for a hash; NULL after too many of them. */
static inline Slot *
probe(const Table *table, uint32_t hash, unsigned step)
{
    if (step == MOST_STEPS)
        return NULL;
    return &table->slots[(hash + (size_t)step * (step + 1) / 2) & (table->room - 1)];
}

static int
put(Table *table, uint32_t hash, uint32_t item)
{
    Slot *slot;
    for (unsigned step = 0; (slot = probe(table, hash, step)) != NULL; step++)
        if (slot->item == 0) {
            *slot = (Slot){hash, item};
            return 1;
        }
    return 0;
}

/* Makes room for one more than `count`. */
static int
make_room(Table *table, size_t count)
{
    if (2 * (count + 1) <= table->room)
        return 1;
    Table larger = {.room = table->room ? 2 * table->room : FEWEST_SLOTS};
    larger.slots = calloc(larger.room, sizeof(Slot));
    int is_made = larger.slots != NULL;
    for (size_t i = 0; is_made && i < table->room; i++)
        if (table->slots[i].item != 0)
            is_made = put(&larger, table->slots[i].hash, table->slots[i].item);
    if (is_made) {
        release_table(table);
        *table = larger;
    }
    else
        release_table(&larger);
    return is_made;
}

/* The cursor: the next bytes, or NULL if there are fewer. */
static inline const unsigned char *
take(Reader *reader, size_t count)
{
    if (count > reader->size - reader->at)
        return NULL;
    const unsigned char *bytes = reader->data + reader->at;
    reader->at += count;
    return bytes;
}

static inline uint32_t
word_in(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
           | (uint32_t)bytes[3] << 24;
}

static inline uint64_t
long_word_in(const unsigned char *bytes)
{
    return word_in(bytes) | (uint64_t)word_in(bytes + 4) << 32;
}

static inline int
take_code(Reader *reader, unsigned *code)
{
    const unsigned char *byte = take(reader, 1);
    if (byte == NULL)
        return 0;
    *code = *byte;
    return 1;
}

static inline int
take_word(Reader *reader, uint32_t *word)
{
    const unsigned char *bytes = take(reader, 4);
    if (bytes == NULL)
        return 0;
    *word = word_in(bytes);
    return 1;
}

/* Remembers a value if its code says so. */
static inline int
remember(Reader *reader, unsigned code, unsigned kind, uint32_t what)
{
    return !(code & REMEMBERED) || append_word(&reader->values, what << KIND_BITS | kind);
}

/* Reads the rest of a reference; returns the kind of what it is to. */
static inline unsigned
recall(Reader *reader, uint32_t *what)
{
    uint32_t number, word = 0;
    if (take_word(reader, &number) && number < reader->values.count)
        word = ((uint32_t *)reader->values.bytes)[number];
    *what = word >> KIND_BITS;
    return word & KIND_MASK;
}

/* Reads the rest of an integer, or of a reference to one. */
static inline int
read_integer(Reader *reader, unsigned code, int64_t *number)
{
    uint32_t at = (uint32_t)reader->at;
    if (code == REFERENCE) {
        if (recall(reader, &at) != KIND_INTEGER)
            return 0;
    }
    else if ((code & ~REMEMBERED) != INTEGER || take(reader, 4) == NULL
             || !remember(reader, code, KIND_INTEGER, at))
        return 0;
    *number = (int32_t)word_in(reader->data + at);
    return 1;
}

static inline int
read_count(Reader *reader, unsigned code, uint64_t *count)
{
    int64_t number;
    if (!read_integer(reader, code, &number) || number < 0)
        return 0;
    *count = (uint64_t)number;
    return 1;
}

/* Reads the bits of a time, or of an integer that stands for one. */
static inline int
read_seconds(Reader *reader, uint64_t *bits)
{
    unsigned code, kind = KIND_REAL;
    if (!take_code(reader, &code))
        return 0;
    uint32_t at = (uint32_t)reader->at;
    if (code == REFERENCE)
        kind = recall(reader, &at);
    else if ((code & ~REMEMBERED) == REAL) {
        if (take(reader, 8) == NULL || !remember(reader, code, KIND_REAL, at))
            return 0;
    }
    else if ((code & ~REMEMBERED) == INTEGER) {
        kind = KIND_INTEGER;
        if (take(reader, 4) == NULL || !remember(reader, code, KIND_INTEGER, at))
            return 0;
    }
    else
        return 0;
    double seconds;
    if (kind == KIND_REAL) {
        *bits = long_word_in(reader->data + at);
        memcpy(&seconds, bits, sizeof seconds);
    }
    else if (kind == KIND_INTEGER) {
        seconds = (int32_t)word_in(reader->data + at);
        memcpy(bits, &seconds, sizeof seconds);
    }
    else
        return 0;
    return -reader->most_seconds <= seconds && seconds <= reader->most_seconds;
}

/* Reads two counts and two times. */
static int
read_sums(Reader *reader, Sums sums)
{
    unsigned code;
    for (int i = 0; i < 2; i++)
        if (!take_code(reader, &code) || !read_count(reader, code, &sums[i]))
            return 0;
    return read_seconds(reader, &sums[2]) && read_seconds(reader, &sums[3]);
}

/* Reads the rest of the beginning of a tuple that has so many items. */
static inline int
open_tuple(Reader *reader, unsigned code, uint32_t size)
{
    unsigned short_length;
    uint32_t length;
    if ((code & ~REMEMBERED) == SHORT_TUPLE) {
        if (!take_code(reader, &short_length))
            return 0;
        length = short_length;
    }
    else if ((code & ~REMEMBERED) != TUPLE || !take_word(reader, &length))
        return 0;
    return length == size && remember(reader, code, KIND_OTHER, 0);
}

static inline int
open_dict(Reader *reader)
{
    unsigned code;
    return take_code(reader, &code) && (code & ~REMEMBERED) == DICT
           && remember(reader, code, KIND_OTHER, 0);
}

static int
is_ascii(const unsigned char *bytes, size_t length)
{
    for (; length >= 8; length -= 8, bytes += 8)
        if (long_word_in(bytes) & 0x8080808080808080)
            return 0;
    for (; length > 0; length--, bytes++)
        if (*bytes & 0x80)
            return 0;
    return 1;
}

static uint32_t
hash_of(const unsigned char *bytes, size_t length)
{
    uint64_t hash = length, rest = 0;
    for (; length >= 8; length -= 8, bytes += 8)
        hash = mix(hash ^ long_word_in(bytes));
    for (; length > 0; length--, bytes++)
        rest = rest << 8 | *bytes;
    return (uint32_t)mix(hash ^ rest);
}

/* Finds the number of a text by its bytes, which are UTF-8 if it is any text: equal texts
   have equal bytes. */
static int
find_text(Reader *reader, const unsigned char *bytes, uint32_t length, uint32_t *text)
{
    if (!make_room(&reader->known_texts, reader->texts.count))
        return 0;
    uint32_t hash = hash_of(bytes, length);
    Slot *slot;
    unsigned step = 0;
    while ((slot = probe(&reader->known_texts, hash, step++)) != NULL && slot->item != 0) {
        const Text *known = text_at(reader, slot->item - 1);
        if (slot->hash == hash && known->length == length
            && memcmp(reader->data + known->at, bytes, length) == 0) {
            *text = slot->item - 1;
            return 1;
        }
    }
    if (slot == NULL
        || (length == (size_t)reader->mark_length && memcmp(reader->mark, bytes, length) == 0))
        return 0;
    Text new = {(uint32_t)(bytes - reader->data), length, 0};
    for (uint32_t i = 0; i < length; i++)
        new.characters += (bytes[i] & 0xC0) != 0x80;
    *text = (uint32_t)reader->texts.count;
    *slot = (Slot){hash, *text + 1};
    return append(&reader->texts, &new, sizeof new);
}

/* Reads the text of a file or a name. */
static int
read_text(Reader *reader, uint32_t *text)
{
    unsigned code, short_length;
    uint32_t length;
    if (!take_code(reader, &code))
        return 0;
    if (code == REFERENCE)
        return recall(reader, text) == KIND_TEXT;
    unsigned kind = code & ~REMEMBERED;
    if (kind == 'z' || kind == 'Z') {
        if (!take_code(reader, &short_length))
            return 0;
        length = short_length;
    }
    else if (kind != 'a' && kind != 'A' && kind != 'u' && kind != 't')
        return 0;
    else if (!take_word(reader, &length) || (Py_ssize_t)length > reader->most_name_bytes)
        return 0;
    const unsigned char *bytes = take(reader, length);
    if (bytes == NULL || (kind != 'u' && kind != 't' && !is_ascii(bytes, length)))
        return 0;
    return find_text(reader, bytes, length, text)
           && remember(reader, code, KIND_TEXT, *text);
}

static int
find_function(Reader *reader, uint32_t file, int32_t line, uint32_t name, uint32_t *function)
{
    if (!make_room(&reader->known_functions, reader->functions.count))
        return 0;
    uint32_t hash = (uint32_t)mix(mix((uint64_t)file << 32 | name) ^ (uint32_t)line);
    Slot *slot;
    unsigned step = 0;
    while ((slot = probe(&reader->known_functions, hash, step++)) != NULL && slot->item != 0) {
        const Function *known = function_at(reader, slot->item - 1);
        if (known->file == file && known->line == line && known->name == name) {
            *function = slot->item - 1;
            return 1;
        }
    }
    reader->characters += text_at(reader, file)->characters;
    reader->characters += text_at(reader, name)->characters;
    if (slot == NULL || (Py_ssize_t)reader->functions.count >= reader->most_functions
        || (Py_ssize_t)reader->characters > reader->most_characters)
        return 0;
    *function = (uint32_t)reader->functions.count;
    *slot = (Slot){hash, *function + 1};
    Function new = {file, name, line, NONE, NONE};
    return append(&reader->functions, &new, sizeof new);
}

/* Reads the rest of a function: file, line and name. */
static int
read_function(Reader *reader, unsigned code, uint32_t *function)
{
    if (code == REFERENCE)
        return recall(reader, function) == KIND_FUNCTION;
    size_t place = reader->values.count;
    uint32_t file, name;
    int64_t line;
    unsigned line_code;
    if (!open_tuple(reader, code, 3) || !read_text(reader, &file)
        || !take_code(reader, &line_code) || !read_integer(reader, line_code, &line)
        || line == INT32_MIN || !read_text(reader, &name)
        || !find_function(reader, file, (int32_t)line, name, function))
        return 0;
    if (code & REMEMBERED)
        ((uint32_t *)reader->values.bytes)[place] = *function << KIND_BITS | KIND_FUNCTION;
    return 1;
}

/* Reads the sums of an edge, or the plain count that stands for them. */
static int
read_edge(Reader *reader, Sums sums)
{
    unsigned code;
    if (!take_code(reader, &code))
        return 0;
    if ((code & ~REMEMBERED) == SHORT_TUPLE || (code & ~REMEMBERED) == TUPLE)
        return open_tuple(reader, code, 4) && read_sums(reader, sums);
    if (!read_count(reader, code, &sums[0]))
        return 0;
    sums[1] = sums[0];
    sums[2] = sums[3] = 0; /* the bits of 0.0 */
    return 1;
}

static int
read_callers(Reader *reader, uint32_t row)
{
    unsigned code;
    uint32_t caller;
    Sums sums;
    if (!open_dict(reader))
        return 0;
    while (take_code(reader, &code)) {
        if (code == END)
            return 1;
        if (!read_function(reader, code, &caller) || function_at(reader, caller)->seen == row)
            return 0;
        function_at(reader, caller)->seen = row;
        if (!read_edge(reader, sums) || !append_word(&reader->caller, caller)
            || !append_sums(reader->edges, sums)
            || (Py_ssize_t)reader->caller.count > reader->most_edges)
            return 0;
    }
    return 0;
}

static int
begin_row(Reader *reader, uint32_t function)
{
    function_at(reader, function)->row = (uint32_t)reader->first_edge.count;
    return append_word(&reader->first_edge, (uint32_t)reader->caller.count);
}

/* Reads what is said of a function. */
static int
read_row(Reader *reader, unsigned code)
{
    uint32_t function, row = (uint32_t)reader->first_edge.count;
    Sums sums;
    unsigned tuple_code;
    if (!read_function(reader, code, &function) || function_at(reader, function)->row != NONE
        || !begin_row(reader, function) || !take_code(reader, &tuple_code)
        || !open_tuple(reader, tuple_code, 5) || !read_sums(reader, sums))
        return 0;
    const Sums total = {sums[1], sums[0], sums[2], sums[3]}; /* primitive calls come first */
    return append_sums(reader->total, total) && read_callers(reader, row);
}

static int
read_rows(Reader *reader)
{
    unsigned code;
    if (!open_dict(reader))
        return 0;
    while (take_code(reader, &code)) {
        if (code == END)
            return reader->at == reader->size;
        if (!read_row(reader, code))
            return 0;
    }
    return 0;
}

/* Gives callers that are no functions of the file a row, and names all callers by row. */
static int
finish_rows(Reader *reader)
{
    const Sums zero = {0};
    for (uint32_t i = 0; i < reader->functions.count; i++)
        if (function_at(reader, i)->row == NONE
            && !(begin_row(reader, i) && append_sums(reader->total, zero)))
            return 0;
    if (!append_word(&reader->first_edge, (uint32_t)reader->caller.count))
        return 0;
    uint32_t *caller = (uint32_t *)reader->caller.bytes;
    for (size_t i = 0; i < reader->caller.count; i++)
        caller[i] = function_at(reader, caller[i])->row;
    return 1;
}

static PyObject *
make_function(PyTypeObject *type, PyObject *file, int32_t line, PyObject *name)
{
    PyObject *number = PyLong_FromLong(line);
    if (number == NULL)
        return NULL;
    PyObject *fields = PyTuple_Pack(3, file, number, name);
    Py_DECREF(number);
    if (fields == NULL)
        return NULL;
    PyObject *args = PyTuple_Pack(1, fields);
    Py_DECREF(fields);
    if (args == NULL)
        return NULL;
    PyObject *function = PyTuple_Type.tp_new(type, args, NULL);
    Py_DECREF(args);
    return function;
}

static PyObject *
fill_names(Reader *reader, PyTypeObject *type, PyObject **texts)
{
    for (uint32_t i = 0; i < reader->texts.count; i++) {
        const Text *text = text_at(reader, i);
        texts[i] = PyUnicode_DecodeUTF8((const char *)reader->data + text->at, text->length,
                                        "surrogatepass");
        if (texts[i] == NULL)
            return NULL;
    }
    PyObject *names = PyTuple_New((Py_ssize_t)reader->functions.count);
    if (names == NULL)
        return NULL;
    for (uint32_t i = 0; i < reader->functions.count; i++) {
        const Function *known = function_at(reader, i);
        PyObject *function = make_function(type, texts[known->file], known->line,
                                           texts[known->name]);
        if (function == NULL) {
            Py_DECREF(names);
            return NULL;
        }
        PyTuple_SET_ITEM(names, known->row, function);
    }
    return names;
}

static PyObject *
make_names(Reader *reader, PyTypeObject *type)
{
    PyObject **texts = calloc(reader->texts.count + 1, sizeof *texts);
    if (texts == NULL)
        return PyErr_NoMemory();
    PyObject *names = fill_names(reader, type, texts);
    for (size_t i = 0; i < reader->texts.count; i++)
        Py_XDECREF(texts[i]);
    free(texts);
    return names;
}

/* Makes an array of items, and frees them. */
static PyObject *
make_array(PyObject *array_type, const char *typecode, Items *items, size_t size)
{
    PyObject *array = PyObject_CallFunction(array_type, "s", typecode);
    if (array == NULL || items->count == 0)
        return array;
    PyObject *done = NULL;
    PyObject *view = PyMemoryView_FromMemory(items->bytes, (Py_ssize_t)(items->count * size),
                                             PyBUF_READ);
    if (view != NULL) {
        done = PyObject_CallMethod(array, "frombytes", "O", view);
        Py_DECREF(view);
    }
    release(items);
    if (done == NULL)
        Py_CLEAR(array);
    Py_XDECREF(done);
    return array;
}

static PyObject *
make_sums(PyObject *array_type, Items columns[SUMS])
{
    PyObject *sums = PyTuple_New(SUMS);
    for (int i = 0; sums != NULL && i < SUMS; i++) {
        PyObject *array = make_array(array_type, i < 2 ? "q" : "d", &columns[i],
                                     sizeof(uint64_t));
        if (array == NULL)
            Py_CLEAR(sums);
        else
            PyTuple_SET_ITEM(sums, i, array);
    }
    return sums;
}

/* Makes the objects that are the result: see _marshal.pyi. */
static PyObject *
make_result(Reader *reader, PyTypeObject *type)
{
    Py_BUILD_ASSERT(sizeof(int) == sizeof(uint32_t) && sizeof(double) == sizeof(uint64_t));
    PyObject *module = PyImport_ImportModule("array");
    if (module == NULL)
        return NULL;
    PyObject *array_type = PyObject_GetAttrString(module, "array");
    Py_DECREF(module);
    if (array_type == NULL)
        return NULL;
    PyObject *names, *total = NULL, *first = NULL, *caller = NULL, *edges = NULL;
    PyObject *result = NULL;
    if ((names = make_names(reader, type)) != NULL
        && (total = make_sums(array_type, reader->total)) != NULL
        && (first = make_array(array_type, "i", &reader->first_edge, 4)) != NULL
        && (caller = make_array(array_type, "i", &reader->caller, 4)) != NULL
        && (edges = make_sums(array_type, reader->edges)) != NULL)
        result = PyTuple_Pack(5, names, total, first, caller, edges);
    Py_DECREF(array_type);
    Py_XDECREF(names);
    Py_XDECREF(total);
    Py_XDECREF(first);
    Py_XDECREF(caller);
    Py_XDECREF(edges);
    return result;
}

static PyObject *
read_ordinary(PyObject *module, PyObject *args)
{
    (void)module;
    Reader reader = {0};
    PyObject *data;
    PyTypeObject *type;
    if (!PyArg_ParseTuple(args, "SO!y#nnnnd:read", &data, &PyType_Type, &type, &reader.mark,
                          &reader.mark_length, &reader.most_functions, &reader.most_edges,
                          &reader.most_name_bytes, &reader.most_characters,
                          &reader.most_seconds))
        return NULL;
    if (!PyType_IsSubtype(type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "functions are tuples");
        return NULL;
    }
    reader.data = (const unsigned char *)PyBytes_AS_STRING(data);
    reader.size = (size_t)PyBytes_GET_SIZE(data);
    if (reader.size > MOST_BYTES)
        Py_RETURN_NONE;
    /* Bytes do not change, and the caller holds them. */
    PyThreadState *state = reader.size > FEW_BYTES ? PyEval_SaveThread() : NULL;
    int is_read = read_rows(&reader) && finish_rows(&reader);
    release_known(&reader);
    if (state != NULL)
        PyEval_RestoreThread(state);
    PyObject *result = is_read ? make_result(&reader, type) : Py_NewRef(Py_None);
    release_all(&reader);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return result;
}

static PyMethodDef module_methods[] = {
    {"read", read_ordinary, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    (void)module;
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "it was not proven on interpreters without a GIL");
    return -1;
#endif
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "flaskprof.profiles._marshal",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__marshal(void)
{
    return PyModuleDef_Init(&module_definition);
}
