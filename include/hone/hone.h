/* The C API: load a model, run it, read its errors. Every function returns 0 on success; otherwise a code, and hone_last_error() tells
 * the calling thread why. Strings are UTF-8. */
#ifndef HONE_H
#define HONE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_C_API __attribute__((visibility("default")))

/** 0 done, 1 failed, 2 wrong usage, 3 the input was refused: the exit codes of the command line. */
typedef int hone_status;

/** A compiled model with one request. One thread at a time. */
typedef struct hone_model hone_model;

/** A tensor: `type` as docs/cli.md names them, dense row-major `data`. Output tensors belong to the model and live until its next run. */
typedef struct hone_tensor {
  const char* name;     /**< UTF-8, lives as long as the model */
  const char* type;     /**< "f32", "u8"... */
  const int64_t* shape; /**< `rank` dimensions, lives until the model's next run */
  size_t rank;          /**< 0 for a scalar */
  void* data;           /**< `bytes` bytes; null where there are none */
  size_t bytes;         /**< of `data` */
} hone_tensor;

/** Why the last call of this thread failed; "" after a success. Valid until the thread's next call. */
HONE_C_API const char* hone_last_error(void);

/** Reads and compiles a model file (.onnx, .xml, .hone). `precision` is f32, bf16, int8 or auto; null: the file's own. `threads` 0: all cores. */
HONE_C_API hone_status hone_load(const char* path, const char* precision, int threads, hone_model** model);
/** Ends the model and everything that belongs to it; null is allowed. */
HONE_C_API void hone_release(hone_model* model);

/** Number of inputs. */
HONE_C_API size_t hone_num_inputs(const hone_model* model);
/** Number of outputs. */
HONE_C_API size_t hone_num_outputs(const hone_model* model);
/** Name, type and shape of an input (-1 for dynamic dimensions); `data` is null. */
HONE_C_API hone_status hone_input(const hone_model* model, size_t index, hone_tensor* tensor);
/** Copies `bytes` of dense data of the given shape into an input. */
HONE_C_API hone_status hone_set_input(hone_model* model, size_t index, const int64_t* shape, size_t rank, const void* data, size_t bytes);
/** One inference on the inputs as set. */
HONE_C_API hone_status hone_run(hone_model* model);
/** An output of the last run, its data included. */
HONE_C_API hone_status hone_output(hone_model* model, size_t index, hone_tensor* tensor);

#ifdef __cplusplus
}
#endif
#endif
