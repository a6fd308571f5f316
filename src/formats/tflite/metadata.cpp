#include "formats/tflite/importer.hpp"

namespace hone::tflite {

void read_metadata(const Model&, size_t, Graph&) {}

}  // namespace hone::tflite
