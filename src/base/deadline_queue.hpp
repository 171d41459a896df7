// Who must be woken when: one deadline a key, the earliest first. Setting costs O(log n), and
// moving a deadline allocates nothing.
#pragma once

#include <set>
#include <unordered_map>
#include <utility>

#include "base/time.hpp"

namespace ztna::base {

template <class Key>
class DeadlineQueue {
 public:
  // Replaces the key's deadline; `never` removes it.
  void set(const Key& key, Time at) {
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
      if (found->second == at) return;
      auto node = order_.extract({found->second, key});
      if (at == never) {
        by_key_.erase(found);
        return;
      }
      found->second = at;
      node.value().first = at;
      order_.insert(std::move(node));
    } else if (at != never) {
      by_key_.emplace(key, at);
      order_.emplace(at, key);
    }
  }
  void remove(const Key& key) { set(key, never); }

  [[nodiscard]] Time next() const { return order_.empty() ? never : order_.begin()->first; }

  // Takes one key whose deadline has come out of the queue. False: none.
  [[nodiscard]] bool pop_due(Time now, Key& key) {
    if (order_.empty() || order_.begin()->first > now) return false;
    key = order_.begin()->second;
    by_key_.erase(key);
    order_.erase(order_.begin());
    return true;
  }

 private:
  std::set<std::pair<Time, Key>> order_;
  std::unordered_map<Key, Time> by_key_;
};

}  // namespace ztna::base
