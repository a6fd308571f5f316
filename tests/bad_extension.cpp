// Libraries that are no good extensions: BAD says in which way.
#include <hone/extension.h>

#include <stdexcept>

namespace {

[[maybe_unused]] int infer(hone_ext_call* c) {
  return hone_ext_copy_type(c, 0, 0);
}
[[maybe_unused]] int evaluate(hone_ext_call*) {
  throw std::runtime_error("no such luck");
}
[[maybe_unused]] int fails(hone_ext_call* c) {
  return hone_ext_fail(c, "the variance is too large");
}
[[maybe_unused]] int lies(hone_ext_call* c) {
  c->outputs[0].type = "f33";
  return 0;
}
[[maybe_unused]] const hone_ext_operator throwing[] = {{"MyNoisyReluDomain", "NoisyRelu", 1, 1, infer, evaluate}};
[[maybe_unused]] const hone_ext_operator failing[] = {{"MyNoisyReluDomain", "NoisyRelu", 1, 1, infer, fails}};
[[maybe_unused]] const hone_ext_operator lying[] = {{"MyNoisyReluDomain", "NoisyRelu", 1, 1, lies, fails}};
[[maybe_unused]] const hone_ext_operator greedy[] = {{"MyNoisyReluDomain", "NoisyRelu", 2, 3, infer, fails}};
[[maybe_unused]] const hone_ext_operator hollow[] = {{"MyNoisyReluDomain", "NoisyRelu", 1, 1, infer, nullptr}};

}  // namespace

#if BAD == 1
HONE_EXTENSION("throws when it evaluates", throwing)
#elif BAD == 2
HONE_EXTENSION("fails with a message", failing)
#elif BAD == 3
HONE_EXTENSION("unknown element type", lying)
#elif BAD == 4
HONE_EXTENSION("wants more inputs", greedy)
#elif BAD == 5
HONE_EXTENSION("lacks a function", hollow)
#elif BAD == 6
extern "C" __attribute__((visibility("default"))) const hone_extension* hone_extension_entry(void) {
  static const hone_extension e = {HONE_EXTENSION_ABI + 1, "of another time", 1, throwing};
  return &e;
}
#elif BAD == 7
extern "C" __attribute__((visibility("default"))) const hone_extension* hone_extension_entry(void) {
  throw 1;
}
#elif BAD == 8
extern "C" __attribute__((visibility("default"))) int something_else(void) {
  return 1;
}
#endif
