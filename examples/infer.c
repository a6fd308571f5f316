/* The C API: load, run, read the result.
 *   infer_c MODEL */
#include <hone/hone.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, hone_status code) {
  fprintf(stderr, "infer_c: %s: %s\n", what, hone_last_error());
  return code;
}

int main(int argc, char** argv) {
  hone_model* model = NULL;
  hone_tensor t;
  hone_status s;
  size_t i, k;
  if (argc != 2) {
    fprintf(stderr, "usage: infer_c MODEL\n");
    return 2;
  }
  if ((s = hone_load(argv[1], NULL, 1, &model)) != 0) return fail("load", s);
  for (i = 0; i < hone_num_inputs(model); ++i) {
    int64_t shape[8];
    size_t n = 1;
    float* data;
    if ((s = hone_input(model, i, &t)) != 0) return fail("input", s);
    for (k = 0; k < t.rank && k < 8; ++k) {
      shape[k] = t.shape[k] > 0 ? t.shape[k] : 1;
      n *= (size_t)shape[k];
    }
    data = calloc(n, sizeof *data);
    s = hone_set_input(model, i, shape, t.rank, data, n * sizeof *data);
    free(data);
    if (s != 0) return fail("set input", s);
  }
  if ((s = hone_run(model)) != 0) return fail("run", s);
  if ((s = hone_output(model, 0, &t)) != 0) return fail("output", s);
  printf("%s: %s, %zu bytes, first %g\n", t.name, t.type, t.bytes, (double)((const float*)t.data)[0]);
  hone_release(model);
  return 0;
}
