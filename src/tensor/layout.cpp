#include "tensor/layout.hpp"

namespace hone {

const char* name_of(Layout layout) {
  return layout == Layout::plain ? "plain" : "channels_last";
}

}  // namespace hone
