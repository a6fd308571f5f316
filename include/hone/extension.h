/* Operators of your own, in a shared library: `hone convert|run|compare|benchmark|inspect|conformance --extension
 * LIB.so`, or hone::load_extension. Plain C, stable: a library built against this header works with every Hone of the
 * same HONE_EXTENSION_ABI.
 *
 *   static int infer(hone_ext_call* c) { return hone_ext_copy_type(c, 0, 0); }
 *   static int evaluate(hone_ext_call* c) { ...read c->inputs, write c->outputs...; return 0; }
 *   static const hone_ext_operator operators[] = {{"MyDomain", "MyRelu", 1, 1, infer, evaluate}};
 *   HONE_EXTENSION("my operators", operators)
 *
 * The reader of ONNX finds an operator by the domain and type of a node, the reader of OpenVINO IR by the version and
 * type of a layer (or by its type alone, where the layer's version is "extension"). Functions may be called from
 * several threads at once; they must not throw and must not keep the pointers they are given. */
#ifndef HONE_EXTENSION_H
#define HONE_EXTENSION_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_EXTENSION_ABI 1
#define HONE_EXT_MAX_RANK 16

/** A tensor. While types are inferred, `shape` may hold -1 (not known) and `data` of an input is null unless it is a
 * constant. */
typedef struct hone_ext_tensor {
  const char* type; /**< "f32", "i64"... (names of docs/cli.md); null: an optional input that is absent */
  int32_t rank;     /**< -1: not known */
  int64_t shape[HONE_EXT_MAX_RANK]; /**< the first `rank` count */
  void* data; /**< dense, row-major; read-only for inputs */
  size_t bytes; /**< of `data` */
} hone_ext_tensor;

/** An attribute of the node. IR files give every attribute as a string; the functions below convert. */
typedef struct hone_ext_attribute {
  const char* name; /**< as the file has it */
  char kind;    /**< 'i' integers, 'f' floats, 's' strings */
  int32_t list; /**< 0: one value */
  size_t count; /**< of values */
  const int64_t* ints;        /**< for kind 'i', else null */
  const double* floats;       /**< for kind 'f', else null */
  const char* const* strings; /**< for kind 's', else null */
} hone_ext_attribute;

/** What a function of an operator gets. Calls for different nodes may run at the same time. */
typedef struct hone_ext_call {
  size_t num_inputs;     /**< absent trailing inputs not counted */
  size_t num_outputs;    /**< of the node */
  size_t num_attributes; /**< of the node */
  const hone_ext_tensor* inputs; /**< `num_inputs` */
  hone_ext_tensor* outputs; /**< infer: set type, rank and shape (`type` must be a literal or live as long as the
                               library); evaluate: fill data */
  const hone_ext_attribute* attributes; /**< `num_attributes` */
  char* message; /**< what went wrong, for a status other than 0 */
  size_t message_size; /**< bytes that `message` holds, the final 0 included */
} hone_ext_call;

/** Status: 0 done, anything else failed, with a message. */
typedef int (*hone_ext_function)(hone_ext_call* call);

/** An operator that a library brings. */
typedef struct hone_ext_operator {
  const char* domain; /**< "" or null: any */
  const char* type;   /**< its name in model files */
  int32_t min_inputs; /**< that a node must have */
  int32_t max_inputs; /**< -1: any number */
  hone_ext_function infer; /**< types and shapes of the outputs; called with data just before evaluate, where all shapes
                              must be known */
  hone_ext_function evaluate; /**< fills the outputs */
} hone_ext_operator;

/** A library of operators. */
typedef struct hone_extension {
  uint32_t abi; /**< HONE_EXTENSION_ABI */
  const char* name;                   /**< shown in errors */
  size_t num_operators;               /**< at least 1 */
  const hone_ext_operator* operators; /**< `num_operators`, live as long as the library */
} hone_extension;

/** What the library must export. The result lives as long as the library. */
const hone_extension* hone_extension_entry(void);

/** Defines the entry point for an array of operators. */
#define HONE_EXTENSION(NAME, OPERATORS)                                                                                \
  HONE_EXT_C __attribute__((visibility("default"))) const hone_extension* hone_extension_entry(void) {                 \
    static const hone_extension e = {HONE_EXTENSION_ABI, NAME, sizeof(OPERATORS) / sizeof((OPERATORS)[0]), OPERATORS}; \
    return &e;                                                                                                         \
  }

/** An attribute by name; null where the node lacks it. */
static inline const hone_ext_attribute* hone_ext_find(const hone_ext_call* c, const char* name) {
  size_t i;
  for (i = 0; i < c->num_attributes; ++i) {
    if (strcmp(c->attributes[i].name, name) == 0) return &c->attributes[i];
  }
  return NULL;
}
/** The number of an attribute (its first, of a list), also from text; `otherwise` where it is absent. */
static inline double hone_ext_float(const hone_ext_call* c, const char* name, double otherwise) {
  const hone_ext_attribute* a = hone_ext_find(c, name);
  if (!a || a->count == 0) return otherwise;
  return a->kind == 'i' ? (double)a->ints[0] : a->kind == 'f' ? a->floats[0] : strtod(a->strings[0], NULL);
}
static inline int64_t hone_ext_int(const hone_ext_call* c, const char* name, int64_t otherwise) {
  const hone_ext_attribute* a = hone_ext_find(c, name);
  if (!a || a->count == 0) return otherwise;
  return a->kind == 'i'   ? a->ints[0]
         : a->kind == 'f' ? (int64_t)a->floats[0]
                          : (int64_t)strtoll(a->strings[0], NULL, 10);
}
static inline const char* hone_ext_string(const hone_ext_call* c, const char* name, const char* otherwise) {
  const hone_ext_attribute* a = hone_ext_find(c, name);
  return a && a->kind == 's' && a->count > 0 ? a->strings[0] : otherwise;
}
/** Says why and gives the status to return. */
static inline int hone_ext_fail(hone_ext_call* c, const char* message) {
  if (c->message && c->message_size > 0) snprintf(c->message, c->message_size, "%s", message);
  return 1;
}
/** For `infer`: the output has the type and shape of the input. */
static inline int hone_ext_copy_type(hone_ext_call* c, size_t output, size_t input) {
  if (output >= c->num_outputs || input >= c->num_inputs) return hone_ext_fail(c, "an input or output is missing");
  c->outputs[output].type = c->inputs[input].type;
  c->outputs[output].rank = c->inputs[input].rank;
  memcpy(c->outputs[output].shape, c->inputs[input].shape, sizeof c->inputs[input].shape);
  return 0;
}
static inline size_t hone_ext_elements(const hone_ext_tensor* t) {
  size_t n = 1;
  int32_t i;
  for (i = 0; i < t->rank; ++i) n *= (size_t)t->shape[i];
  return n;
}

#ifdef __cplusplus
}
#define HONE_EXT_C extern "C"
#else
#define HONE_EXT_C
#endif
#endif
