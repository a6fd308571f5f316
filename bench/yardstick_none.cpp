#include "yardstick.hpp"

double yardstick_seconds(const YardstickLayer&, const std::string&, int) {
  return -1;
}
