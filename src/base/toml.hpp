// toml++, header-only, for the few .cpp files that read TOML. Without exceptions for all of them:
// two settings in one program collide in what they share, and crash (toml++ 3.3).
//
// toml++ 3.3 asserts that a table's header begins with a key before it has looked: "[@]" in a file
// aborts a debug build and, where its assertions become assumptions (NDEBUG), is undefined in a
// release. Behind that assertion stands a proper error, so its assertions are turned off here.
#pragma once

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(condition) static_assert(true)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>  // IWYU pragma: export
#pragma pop_macro("NDEBUG")
