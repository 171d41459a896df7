// One server with two addresses and two ports, as RFC 5780 wants it, and what one may find by it.
#pragma once

#include "addresses.hpp"
#include "nat/behaviour.hpp"

namespace ztna::nat {

inline const base::Address a1 = at("192.0.2.1:4433"), a2 = at("192.0.2.1:4435");
inline const base::Address b1 = at("192.0.2.9:4433"), b2 = at("192.0.2.9:4435");

inline Behaviour behaviour(Dependence mapping, Dependence filtering) {
  Behaviour result;
  result.mapping = mapping;
  result.filtering = filtering;
  return result;
}

}  // namespace ztna::nat
