#include "session/early_datagrams.hpp"

#include <utility>

namespace ztna::session {

void EarlyDatagrams::drop_old(base::Time now, std::size_t room) {
  while (!kept_.empty() && (bytes_ + room > max_bytes || now - kept_.front().arrived > max_age)) {
    bytes_ -= kept_.front().cost();
    kept_.pop_front();
    ++dropped_;
  }
}

void EarlyDatagrams::keep(std::uint64_t flow, base::BytesView datagram, base::Time now) {
  Kept kept{flow, base::Bytes(datagram.begin(), datagram.end()), now};
  drop_old(now, kept.cost());
  if (kept.cost() > max_bytes) {
    ++dropped_;
    return;
  }
  bytes_ += kept.cost();
  kept_.push_back(std::move(kept));
}

std::vector<base::Bytes> EarlyDatagrams::take(std::uint64_t flow, base::Time now) {
  drop_old(now, 0);
  std::vector<base::Bytes> found;
  std::erase_if(kept_, [&](Kept& kept) {
    if (kept.flow != flow) return false;
    bytes_ -= kept.cost();
    found.push_back(std::move(kept.datagram));
    return true;
  });
  return found;
}

}  // namespace ztna::session
