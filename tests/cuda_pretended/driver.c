// A pretended libcuda.so.1, for tests without a GPU.  Memory is the host's and kernels do nothing,
// but what a driver insists on is insisted on: a current context, launch limits, addresses inside
// living memory, also those that a kernel's arrays or a graph's nodes name, at each replay again.
// Copies and events of a stream happen when it is waited for, no sooner, so that whoever does not
// wait sees old bytes.  All calls are logged.
//
// A program's parameters, registers, shared memory and architecture are read off its cubin, so that
// a launch is held to them.  Functions, streams and events belong to a GPU's context.  Only the
// process that called cuInit may call, no child that it forks; after `pretended_break` every call
// answers with that result, as a context does after an illegal address.
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int R;
typedef unsigned long long P;
#define CODES X(1, INVALID_VALUE) X(2, OUT_OF_MEMORY) X(3, NOT_INITIALIZED) X(101, INVALID_DEVICE) \
    X(200, INVALID_IMAGE) X(201, INVALID_CONTEXT) X(209, NO_BINARY_FOR_GPU) X(400, INVALID_HANDLE) \
    X(500, NOT_FOUND) X(600, NOT_READY) X(700, ILLEGAL_ADDRESS) X(701, LAUNCH_OUT_OF_RESOURCES) \
    X(716, MISALIGNED_ADDRESS) X(719, LAUNCH_FAILED)
#define X(code, name) name = code,
enum { OK = 0, CODES };
#undef X
// Of an H200: a block's bytes of shared memory and registers; bytes that the system keeps of each.
enum { OPT_IN = 232448, REGISTERS = 65536, SYSTEM = 1024, ARCHITECTURE = 90 };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static __thread int current = -1;  // the GPU whose context is current in this thread
#define DEVICES 2
static char contexts[DEVICES];
static long faults;
static size_t used, limit_ = 64ul << 30;

// ------------------------------------------------------------------------------------------ log
static char* text;
static size_t length, room;
static int logging;
static void note(const char* format, ...) {
    if (!logging) return;
    pthread_mutex_lock(&lock);
    if (room - length < 4096) text = realloc(text, room = 2 * room + (1 << 16));
    va_list values;
    va_start(values, format);
    length += vsnprintf(text + length, 4000, format, values);
    va_end(values);
    text[length++] = '\n';
    pthread_mutex_unlock(&lock);
}
static R fault(R code, const char* format, ...) {
    char words[400];
    va_list values;
    va_start(values, format);
    vsnprintf(words, sizeof words, format, values);
    va_end(values);
    faults++;
    int was = logging;
    logging = 1;
    note("FAULT %s", words);
    logging = was;
    return code;
}
void pretended_log(int on) { pthread_mutex_lock(&lock); logging = on; length = 0; pthread_mutex_unlock(&lock); }
size_t pretended_length(void) { return length; }
const char* pretended_text(void) { return text; }
long pretended_faults(void) { return faults; }
void pretended_forget(void) { faults = 0; length = 0; }
void pretended_limit(size_t bytes) { limit_ = bytes ? bytes : 64ul << 30; }
size_t pretended_used(void) { return used; }
static R broken;
static pid_t starter;
void pretended_break(R code) { broken = code; }
#define ALIVE if (starter != getpid()) return NOT_INITIALIZED; if (broken) return broken
#define ENTER ALIVE; if (current < 0) return fault(INVALID_CONTEXT, "%s without a context", __func__)

// --------------------------------------------------------------------------------------- memory
typedef struct { P at; size_t size; int pinned, device; } Piece;
static Piece* pieces;
static size_t count, held;
static size_t after(P at) {  // how many pieces begin at or before an address: they are in order
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pieces[middle].at <= at) low = middle + 1; else high = middle;
    }
    return low;
}
static Piece* piece(P at, size_t bytes) {
    size_t i = after(at);
    return i && at + bytes <= pieces[i - 1].at + pieces[i - 1].size ? pieces + i - 1 : 0;
}
static R add(P* at, size_t bytes, int pinned) {
    if (!bytes) return fault(INVALID_VALUE, "memory of 0 bytes");
    if (!pinned && used + bytes > limit_) return OUT_OF_MEMORY;
    void* made;
    if (posix_memalign(&made, pinned ? 4096 : 512, bytes)) return OUT_OF_MEMORY;
    memset(made, 0, bytes);
    pthread_mutex_lock(&lock);
    if (count == held) pieces = realloc(pieces, (held = 2 * held + 64) * sizeof(Piece));
    size_t i = after((P)made);
    memmove(pieces + i + 1, pieces + i, (count++ - i) * sizeof(Piece));
    pieces[i] = (Piece){*at = (P)made, bytes, pinned, current};
    if (!pinned) used += bytes;
    pthread_mutex_unlock(&lock);
    return OK;
}
static R drop(P at, int pinned) {
    R found = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].at == at && pieces[i].pinned == pinned) {
            if (!pinned) used -= pieces[i].size;
            memmove(pieces + i, pieces + i + 1, (--count - i) * sizeof(Piece));
            free((void*)at);
            found = OK;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found ? fault(found, "%llx is no memory to free", at) : OK;
}
R cuMemAlloc_v2(P* at, size_t n) { ENTER; R r = add(at, n, 0); note("cuMemAlloc %llx %zu", r ? 0 : *at, n); return r; }
R cuMemHostAlloc(P* at, size_t n, unsigned f) { ENTER; note("cuMemHostAlloc %zu", n); return add(at, n, 1); }
R cuPointerGetAttribute(int* out, int what, P at) {
    Piece* p = piece(at, 1);
    if (!p || what != 9) return INVALID_VALUE;
    *out = p->device;
    return OK;
}

// -------------------------------------------------------------------------------------- streams
typedef struct Node { char* name; int count; P* values; unsigned char* sizes; P to, from; size_t bytes; } Node;
typedef struct Graph { Node* nodes; size_t count, room; int made, dead; } Graph;
typedef struct Stream Stream;
typedef struct Event { Stream* stream; int passed, timing, dead, device; } Event;
typedef struct { int kind; P to, from; size_t bytes; Event* event; void* snapshot; } Work;
struct Stream { int number, device; Work* work; size_t count, room; };
static Stream streams[256];
static int made_streams = 1;
static Stream* stream_of(P s) { return s > 2 && s / 16 < 256 ? streams + s / 16 : streams; }
static int known(P s) { return s <= 2 || (s % 16 == 0 && s / 16 < (P)made_streams); }
static int device_of(P s) { return s <= 2 ? current : stream_of(s)->device; }
#define STREAM(s) if (!known(s)) return fault(INVALID_HANDLE, "%s: %llx is no stream", __func__, s)
static void settle(Stream* s, size_t many);
static void pass(Event* e) {
    while (!e->passed && e->stream && e->stream->count) settle(e->stream, 1);
}
static void settle(Stream* s, size_t many) {
    pthread_mutex_lock(&lock);
    while (s->count && many--) {
        Work w = s->work[0];
        memmove(s->work, s->work + 1, --s->count * sizeof(Work));
        if (w.kind == 0) memmove((void*)w.to, w.snapshot ? w.snapshot : (void*)w.from, w.bytes);
        if (w.kind == 1) { w.event->passed = 1; if (w.event->dead) free(w.event); }
        if (w.kind == 2) pass(w.event);
        free(w.snapshot);
    }
    pthread_mutex_unlock(&lock);
}
static void push(Stream* s, Work w) {
    pthread_mutex_lock(&lock);
    if (s->count == s->room) s->work = realloc(s->work, (s->room = 2 * s->room + 64) * sizeof(Work));
    s->work[s->count++] = w;
    pthread_mutex_unlock(&lock);
}
static Node* node(Graph* g, const char* name) {
    if (g->count == g->room) g->nodes = realloc(g->nodes, (g->room = 2 * g->room + 64) * sizeof(Node));
    Node* n = g->nodes + g->count++;
    memset(n, 0, sizeof *n);
    n->name = strdup(name);
    return n;
}
static void settle_all(void) { for (int i = 0; i < made_streams; i++) settle(streams + i, (size_t)-1); }
R cuMemFree_v2(P at) { ENTER; note("cuMemFree %llx", at); settle_all(); return drop(at, 0); }
R cuMemFreeHost(P at) { ENTER; note("cuMemFreeHost"); settle_all(); return drop(at, 1); }
R cuStreamCreate(P* s, unsigned flags) {
    ENTER;
    if (made_streams == 256) return fault(OUT_OF_MEMORY, "256 streams");
    streams[made_streams].number = made_streams;
    streams[made_streams].device = current;
    *s = 16 * made_streams++;
    note("cuStreamCreate %llu flags %u", *s, flags);
    return OK;
}
R cuStreamSynchronize(P s) {
    ENTER;
    STREAM(s);
    note("cuStreamSynchronize %llu", s);
    settle(stream_of(s), (size_t)-1);
    return OK;
}
R cuCtxSynchronize(void) {
    ENTER;
    note("cuCtxSynchronize");
    settle_all();
    return OK;
}
R cuStreamQuery(P s) { ENTER; STREAM(s); return stream_of(s)->count ? NOT_READY : OK; }
R cuStreamWaitEvent(P s, Event* e, unsigned f) {
    ENTER;
    STREAM(s);
    note("cuStreamWaitEvent %llu for %d", s, e->stream ? 16 * e->stream->number : -1);
    push(stream_of(s), (Work){2, 0, 0, 0, e, 0});
    return OK;
}
R cuEventCreate(Event** e, unsigned flags) { ENTER; *e = calloc(1, sizeof(Event)); (*e)->passed = 1; (*e)->timing = !(flags & 2); (*e)->device = current; note("cuEventCreate"); return OK; }
R cuEventDestroy_v2(Event* e) {
    ENTER;
    note("cuEventDestroy");
    pthread_mutex_lock(&lock);  // work under way may still name it
    int named = 0;
    for (int i = 0; i < made_streams; i++)
        for (size_t k = 0; k < streams[i].count; k++) named |= streams[i].work[k].event == e;
    if (named) e->dead = 1; else free(e);
    pthread_mutex_unlock(&lock);
    return OK;
}
R cuEventRecord(Event* e, P s) {
    ENTER;
    STREAM(s);
    if (e->device != device_of(s)) return fault(INVALID_HANDLE, "an event of GPU %d in a stream of GPU %d", e->device, device_of(s));
    note("cuEventRecord %llu", s);
    e->stream = stream_of(s);
    e->passed = 0;
    push(e->stream, (Work){1, 0, 0, 0, e, 0});
    return OK;
}
R cuEventQuery(Event* e) { ENTER; return e->passed ? OK : NOT_READY; }
R cuEventSynchronize(Event* e) {
    ENTER;
    note("cuEventSynchronize");
    pass(e);
    return OK;
}
R cuEventElapsedTime(float* t, Event* a, Event* b) {
    ENTER;
    if (!a->timing || !b->timing || !a->stream || !b->stream) return fault(INVALID_HANDLE, "the time between events that have none");
    if (!a->passed || !b->passed) return NOT_READY;
    *t = 1.5f;
    return OK;
}

static R copy(const char* what, P to, P from, size_t n, P s, int to_device, int from_device) {
    STREAM(s);
    note("%s %llx %llx %zu stream %llu", what, to, from, n, s);
    Piece* target = piece(to, n);
    Piece* source = piece(from, n);
    if (to_device && (!target || target->pinned)) return fault(ILLEGAL_ADDRESS, "%s to %llx, %zu bytes, that nobody holds", what, to, n);
    if (from_device && (!source || source->pinned)) return fault(ILLEGAL_ADDRESS, "%s from %llx, %zu bytes, that nobody holds", what, from, n);
    Stream* stream = stream_of(s);
    void* snapshot = 0;
    if (!from_device && !source) memcpy(snapshot = malloc(n), (void*)from, n);
    push(stream, (Work){0, to, from, n, 0, snapshot});
    if (from_device && !to_device && !target) settle(stream, (size_t)-1);
    return OK;
}
R cuMemcpyHtoDAsync_v2(P to, P from, size_t n, P s) { ENTER; return copy("cuMemcpyHtoD", to, from, n, s, 1, 0); }
R cuMemcpyDtoHAsync_v2(P to, P from, size_t n, P s) { ENTER; return copy("cuMemcpyDtoH", to, from, n, s, 0, 1); }
R cuMemcpyDtoDAsync_v2(P to, P from, size_t n, P s) { ENTER; return copy("cuMemcpyDtoD", to, from, n, s, 1, 1); }

// ------------------------------------------------------------------------------------- programs
typedef struct { char* name; int count, shared, fixed, registers, device; unsigned short size[256]; } Function;
typedef struct { Function functions[4]; int count; } Module;
R cuModuleLoadData(Module** out, const void* image) {
    ENTER;
    const Elf64_Ehdr* head = image;
    if (memcmp(head->e_ident, ELFMAG, 4)) return fault(INVALID_IMAGE, "no ELF image");
    unsigned flags = head->e_flags, built = head->e_ident[EI_ABIVERSION] >= 8 ? flags >> 8 & 255 : flags & 255;
    if (built != ARCHITECTURE) return fault(NO_BINARY_FOR_GPU, "machine code of sm_%u", built);
    const Elf64_Shdr* parts = (void*)((char*)image + head->e_shoff);
    const char* names = (char*)image + parts[head->e_shstrndx].sh_offset;
    Module* made = calloc(1, sizeof *made);
    for (int i = 0; i < head->e_shnum && made->count < 4; i++) {
        const char* name = names + parts[i].sh_name;
        if (strncmp(name, ".nv.info.", 9)) continue;
        Function* f = made->functions + made->count++;
        f->name = strdup(name + 9);
        f->device = current;
        for (int k = 0; k < head->e_shnum; k++) {
            const char* other = names + parts[k].sh_name;
            if (!strncmp(other, ".nv.shared.", 11) && !strcmp(other + 11, f->name)) f->fixed = parts[k].sh_size - SYSTEM;
            if (strcmp(other, ".nv.info")) continue;
            const unsigned* word = (unsigned*)((char*)image + parts[k].sh_offset);
            for (const unsigned* last = word + parts[k].sh_size / 4; word + 2 < last; word++)
                if (*word == 0x00082f04) f->registers = word[2];  // EIATTR_REGCOUNT: symbol, number
        }
        const unsigned char* at = (unsigned char*)image + parts[i].sh_offset;
        for (const unsigned char* end = at + parts[i].sh_size; at < end;) {
            unsigned short n = at[0] == 4 ? *(unsigned short*)(at + 2) : 0;  // EIFMT_SVAL
            if (at[0] == 4 && at[1] == 0x17) {  // EIATTR_KPARAM_INFO: index, ordinal, offset, size
                unsigned short ordinal = *(unsigned short*)(at + 8);
                if (ordinal < 256) f->size[ordinal] = *(unsigned*)(at + 12) >> 18;
                if (ordinal < 256 && ordinal >= f->count) f->count = ordinal + 1;
            }
            at += 4 + n;
        }
    }
    *out = made;
    note("cuModuleLoadData %d", made->count);
    return OK;
}
R cuModuleGetFunction(Function** out, Module* m, const char* name) {
    ALIVE;
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->functions[i].name, name)) { *out = m->functions + i; return OK; }
    return fault(NOT_FOUND, "no function %s", name);
}
R cuFuncSetAttribute(Function* f, int what, int value) {
    ENTER;
    if (what != 8 || value < 0 || value + f->fixed > OPT_IN) return fault(INVALID_VALUE, "%d bytes of shared memory", value);
    f->shared = value;
    return OK;
}
R cuFuncGetAttribute(int* value, int what, Function* f) { *value = what == 4 ? 32 : what == 0 ? 1024 : 0; return OK; }
static R living(const char* name, const P* v, const unsigned char* size, int n) {
    for (int i = 0; i + 4 < n; i++) {  // an array of Numba's: 0, 0, elements, bytes of one, address
        if (size[i] != 8 || size[i + 1] != 8 || size[i + 2] != 8 || size[i + 3] != 8 || size[i + 4] != 8) continue;
        if (v[i] || v[i + 1] || !v[i + 2] || v[i + 3] > 16 || !v[i + 3] || v[i + 3] & (v[i + 3] - 1)) continue;
        if (v[i + 4] < 4096) continue;
        Piece* p = piece(v[i + 4], v[i + 3]);
        if (!p || p->pinned) return fault(ILLEGAL_ADDRESS, "%s is given %llx, which nobody holds", name, v[i + 4]);
        i += 4;
    }
    return OK;
}
typedef struct { unsigned gx, gy, gz, bx, by, bz, shared; P stream; void* attributes; unsigned n; } Setup;
static void spell(char* words, const Function* f, const P* values) {
    int at = 0;
    words[0] = 0;
    for (int i = 0; logging && i < f->count && at < 2900; i++) at += snprintf(words + at, 3000 - at, " %d:%llx", f->size[i], values[i]);
}
static R limits(const Setup* c, const Function* f) {
    P threads = (P)c->bx * c->by * c->bz;
    if (!c->gx || !c->gy || !c->gz || !threads || threads > 1024 || c->bz > 64 || c->gx > 2147483647u || c->gy > 65535 || c->gz > 65535 || c->shared + f->fixed > (f->shared ? f->shared + f->fixed : 49152u))
        return fault(INVALID_VALUE, "%s: grid %u %u %u, block %u %u %u, %u bytes shared", f->name, c->gx, c->gy, c->gz, c->bx, c->by, c->bz, c->shared);
    P warps = (threads + 31) / 32 + 3 & ~3ull, each = (f->registers + 7 & ~7) * 32;  // as they are given out
    if (warps * each > REGISTERS) return fault(LAUNCH_OUT_OF_RESOURCES, "%s: %d registers for %llu threads", f->name, f->registers, threads);
    if (f->device != current) return fault(INVALID_HANDLE, "%s of GPU %d on GPU %d", f->name, f->device, current);
    return OK;
}
R cuLaunchKernelEx(const Setup* c, Function* f, void** values, void** extra) {
    ENTER;
    STREAM(c->stream);
    if (device_of(c->stream) != current) return fault(INVALID_HANDLE, "%s on a stream of GPU %d", f->name, device_of(c->stream));
    if (extra || (c->n && !c->attributes)) return fault(INVALID_VALUE, "%s: parameters in two ways, or no attributes", f->name);
    P held[256] = {0};
    unsigned char sizes[256];
    char words[3000];
    for (int i = 0; i < f->count; i++) {
        memcpy(held + i, values[i], f->size[i] > 8 ? 8 : f->size[i]);
        sizes[i] = f->size[i];
    }
    spell(words, f, held);
    note("cuLaunchKernel %s grid %u %u %u block %u %u %u shared %u stream %llu values%s", f->name, c->gx, c->gy, c->gz, c->bx, c->by, c->bz, c->shared, c->stream, words);
    R r = limits(c, f);
    return r ? r : living(f->name, held, sizes, f->count);
}

// --------------------------------------------------------------------------------------- graphs
typedef struct { Function* f; unsigned gx, gy, gz, bx, by, bz, shared; void** values; void* extra; void* kernel; void* context; } KernelNode;
typedef struct { size_t offsets[4]; int kind; void* host; P device; void* array; void* reserved; size_t pitch, height; } Side;
typedef struct { Side source, to; size_t sizes[3]; } CopyNode;
R cuGraphCreate(Graph** g, unsigned flags) { ENTER; *g = calloc(1, sizeof(Graph)); note("cuGraphCreate"); return OK; }
static R fill(Node* n, const KernelNode* k) {
    for (int i = 0; i < k->f->count; i++) {
        n->values[i] = 0;
        memcpy(n->values + i, k->values[i], k->f->size[i] > 8 ? 8 : k->f->size[i]);
        n->sizes[i] = k->f->size[i];
    }
    return living(k->f->name, n->values, n->sizes, k->f->count);
}
R cuGraphAddKernelNode_v2(P* at, Graph* g, const P* before, size_t many, const KernelNode* k) {
    ENTER;
    if (g->dead || g->made) return fault(INVALID_VALUE, "a node for no graph");
    if (many ? !g->count || *before != g->count : g->count) return fault(INVALID_VALUE, "%s: a node that is not behind the last", k->f->name);
    Setup c = {k->gx, k->gy, k->gz, k->bx, k->by, k->bz, k->shared, 0, 0, 0};
    R r = limits(&c, k->f);
    if (r) return r;
    Node* n = node(g, k->f->name);
    n->count = k->f->count;
    n->values = calloc(256, sizeof(P));
    n->sizes = calloc(256, 1);
    *at = g->count;
    char words[3000];
    r = fill(n, k);
    spell(words, k->f, n->values);
    note("cuGraphAddKernelNode %s grid %u %u %u block %u %u %u shared %u stream 0 values%s", k->f->name, k->gx, k->gy, k->gz, k->bx, k->by, k->bz, k->shared, words);
    return r;
}
R cuGraphAddMemcpyNode(P* at, Graph* g, const P* before, size_t many, const CopyNode* c, void* context) {
    ENTER;
    if (many ? !g->count || *before != g->count : g->count) return fault(INVALID_VALUE, "a copy that is not behind the last node");
    if (g->dead || g->made || (char*)context != contexts + current) return fault(INVALID_VALUE, "a copy for no graph, or without its context");
    if (c->source.kind != 2 || c->to.kind != 2 || c->sizes[1] != 1 || c->sizes[2] != 1) return fault(INVALID_VALUE, "a copy that is none on the device");
    Node* n = node(g, "copy");
    n->to = c->to.device, n->from = c->source.device, n->bytes = c->sizes[0];
    *at = g->count;
    note("cuGraphAddMemcpyNode %llx %llx %zu", n->to, n->from, n->bytes);
    if (!piece(n->to, n->bytes) || !piece(n->from, n->bytes)) return fault(ILLEGAL_ADDRESS, "a copy of memory that nobody holds");
    return OK;
}
R cuGraphExecKernelNodeSetParams_v2(Graph* g, P at, const KernelNode* k) {
    ENTER;
    if (g->dead || !g->made || !at || at > g->count || !g->nodes[at - 1].values || strcmp(g->nodes[at - 1].name, k->f->name)) return fault(INVALID_VALUE, "%s: no such node", k->f->name);
    R r = fill(g->nodes + at - 1, k);
    char words[3000];
    spell(words, k->f, g->nodes[at - 1].values);
    note("cuGraphExecKernelNodeSetParams %s values%s", k->f->name, words);
    return r;
}
R cuGraphInstantiateWithFlags(Graph** out, Graph* g, P flags) {  // a copy: the graph may go on
    ENTER;
    if (g->dead || g->made) return fault(INVALID_VALUE, "no graph to instantiate");
    note("cuGraphInstantiate %zu nodes", g->count);
    Graph* made = calloc(1, sizeof *made);
    made->nodes = malloc(g->count * sizeof(Node) + 1);
    made->count = made->room = g->count;
    made->made = 1;
    for (size_t i = 0; i < g->count; i++) {
        Node* n = made->nodes + i;
        *n = g->nodes[i];
        if (n->values) n->values = memcpy(malloc(256 * sizeof(P)), n->values, 256 * sizeof(P));
    }
    *out = made;
    return OK;
}
R cuGraphLaunch(Graph* g, P s) {
    ENTER;
    STREAM(s);
    if (g->dead || !g->made) return fault(INVALID_VALUE, "a launch of what is no graph to launch");
    note("cuGraphLaunch %zu nodes stream %llu", g->count, s);
    R r = OK;
    for (size_t i = 0; i < g->count && !r; i++) {
        Node* n = g->nodes + i;
        if (n->values) r = living(n->name, n->values, n->sizes, n->count);
        else if (!piece(n->to, n->bytes) || !piece(n->from, n->bytes)) r = fault(ILLEGAL_ADDRESS, "%s of a graph names memory that nobody holds", n->name);
        else push(stream_of(s), (Work){0, n->to, n->from, n->bytes, 0, 0});
    }
    return r;
}
static R destroyed(Graph* g, int made) {
    if (g->dead || g->made != made) return fault(INVALID_VALUE, "no such graph to destroy");
    g->dead = 1;
    return OK;
}
R cuGraphExecDestroy(Graph* g) { ALIVE; note("cuGraphExecDestroy"); return destroyed(g, 1); }
R cuGraphDestroy(Graph* g) { ALIVE; note("cuGraphDestroy"); return destroyed(g, 0); }

// -------------------------------------------------------------------------------------- devices
R cuInit(unsigned f) { starter = getpid(); return f ? INVALID_VALUE : OK; }
R cuDriverGetVersion(int* v) { *v = 13000; return OK; }
R cuDeviceGetCount(int* n) { ALIVE; *n = DEVICES; return OK; }
R cuDeviceGet(int* d, int i) { ALIVE; *d = i; return i >= 0 && i < DEVICES ? OK : INVALID_DEVICE; }
R cuDeviceGetName(char* b, int n, int d) { ALIVE; if (d < 0 || d >= DEVICES) return INVALID_DEVICE; snprintf(b, n, "Pretended GPU"); return OK; }
R cuDeviceTotalMem_v2(size_t* n, int d) { *n = 140ul << 30; return OK; }
R cuDeviceGetAttribute(int* v, int what, int d) {
    ALIVE;
    if (d < 0 || d >= DEVICES) return INVALID_DEVICE;
    *v = what == 16 ? 132 : what == 75 ? 9 : what == 76 ? 0 : what == 97 ? 232448 : 1;
    return OK;
}
R cuDevicePrimaryCtxRetain(void** c, int d) { ALIVE; if (d < 0 || d >= DEVICES) return INVALID_DEVICE; *c = contexts + d; return OK; }
R cuCtxSetCurrent(void* c) { ALIVE; current = c ? (int)((char*)c - contexts) : -1; return OK; }
R cuMemGetInfo_v2(size_t* f, size_t* t) { ENTER; *t = limit_; *f = limit_ - used; return OK; }
R cuGetErrorName(int e, const char** s) {
#define X(code, name) if (e == code) { *s = "CUDA_ERROR_" #name; return OK; }
    CODES
    *s = 0;
    return INVALID_VALUE;
}
