// How many descriptors this process may have.
#pragma once

#include <cstddef>

namespace ztna::io {

// Raises the soft limit to the hard one and returns what holds then. The soft limit is commonly
// 1024 for the sake of select(2), which nothing here uses.
std::size_t raise_descriptor_limit();

}  // namespace ztna::io
