# Language level, warnings, sanitizers and where binaries go.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

add_library(ztna_options INTERFACE)
target_include_directories(ztna_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_options(ztna_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  # GCC 12 sees overlaps in optimised std::string code that are not there (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # Where several files are compiled as one, each looks like a header to GCC, and the names of one
  # like globals to the next.
  "$<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage;-Wno-shadow;-Wshadow=local>"
  $<$<BOOL:${ZTNA_WERROR}>:-Werror>)
if(ZTNA_SANITIZE)
  target_compile_options(ztna_options INTERFACE
    -fsanitize=${ZTNA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(ztna_options INTERFACE -fsanitize=${ZTNA_SANITIZE})
  # What tests ask: is malloc the sanitizer's; does UBSan need descriptors of its own?
  target_compile_definitions(ztna_options INTERFACE ZTNA_SANITIZED=1)
  if(ZTNA_SANITIZE MATCHES undefined)
    target_compile_definitions(ztna_options INTERFACE ZTNA_SANITIZED_UNDEFINED=1)
  endif()
endif()
