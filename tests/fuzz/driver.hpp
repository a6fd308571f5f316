// What a fuzz target defines.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

/// One input. Errors that the reader promises (`hone::Error`) are caught inside; anything that escapes is a finding.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
/// Small valid files to start from.
std::vector<std::vector<uint8_t>> fuzz_samples();
