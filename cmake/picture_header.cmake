# cmake -DROOT=<source folder> -DOUT=<file> -P picture_header.cmake
#
# Writes one header that reads, resizes and normalizes pictures exactly as the toolkit does, for programs that link no more
# than libjpeg-turbo and libpng: packaged models come with it. The sources are those of the toolkit, one after the other, in
# a namespace of their own (`hone_picture`), so that a program may also use the toolkit's headers.
set(sources
  include/hone/export.hpp include/hone/error.hpp src/base/error.cpp src/base/file.hpp src/base/file_pages.hpp src/base/file_observer.hpp
  src/base/file_observer.cpp src/base/file.cpp include/hone/shape.hpp
  src/image/image.hpp src/image/codecs.hpp src/image/image.cpp src/image/exif.cpp src/image/jpeg.cpp src/image/png.cpp
  src/image/bmp.cpp src/image/pnm.cpp src/image/without_webp_and_tiff.cpp src/data/resize.hpp src/data/resize.cpp src/data/geometry.hpp
  src/data/geometry.cpp src/data/preprocess.hpp src/data/preprocess.cpp src/data/picture_fields.hpp)
set(text "// Pictures for packaged models: reading, resizing and normalizing exactly as in training. Include it in one source file\n")
string(APPEND text "// and link libjpeg-turbo and libpng. Made from the sources of Hone, Apache-2.0.\n#pragma once\n")
foreach(name IN LISTS sources)
  file(READ "${ROOT}/${name}" part)
  string(REGEX REPLACE "#pragma once\n" "" part "${part}")
  string(REGEX REPLACE "#include \"[^\"\n]*\"\n" "" part "${part}")
  string(REPLACE "namespace hone" "namespace hone_picture" part "${part}")
  string(REGEX REPLACE "([^A-Za-z_/])hone::" "\\1hone_picture::" part "${part}")
  string(APPEND text "\n// ---- ${name}\n${part}")
endforeach()
file(WRITE "${OUT}" "${text}")
