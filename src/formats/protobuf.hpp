// protozero, with its checks on in every build. It tells only by assertions that a field has another wire type than it
// is read as: with them a hostile file ends the program, and without them its bytes are read as something else. Here it
// is an exception as for any malformed file. Everything in this folder that reads or writes protobuf includes this.
#pragma once
#include <protozero/exception.hpp>

#ifdef protozero_assert
#error "protozero was included before formats/protobuf.hpp"
#endif
#define protozero_assert(x) ((x) ? static_cast<void>(0) : throw protozero::unknown_pbf_wire_type_exception{})

#include <protozero/pbf_reader.hpp>  // IWYU pragma: export
#include <protozero/pbf_writer.hpp>  // IWYU pragma: export
