// Tells when addresses of this machine's interfaces come or go.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "io/loop.hpp"

namespace ztna::io {

// Calls back soon after each change with interface_addresses(), and never when they are the same as
// before. Threading: the loop's thread. Where the kernel does not tell (no netlink), it never
// calls.
class InterfaceWatch {
 public:
  using Callback = std::function<void(const std::vector<base::Address>&)>;
  InterfaceWatch(Loop& loop, Callback callback);
  ~InterfaceWatch();
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

  [[nodiscard]] const std::vector<base::Address>& addresses() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
