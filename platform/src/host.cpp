#include "troupe/platform/host.hpp"

#include <utility>

namespace troupe::platform {

Host::~Host() = default;

void Host::quarantine(std::function<bool()> retry) {
  std::lock_guard lock{quarantine_mutex_};
  quarantine_.push_back(std::move(retry));
}

std::size_t Host::quarantined() const {
  std::lock_guard lock{quarantine_mutex_};
  return quarantine_.size();
}

std::size_t Host::sweep_quarantine() {
  // Outside the lock: a retry blocks for the grace, and it drops the context's share of this host.
  std::vector<std::function<bool()>> kept;
  {
    std::lock_guard lock{quarantine_mutex_};
    kept.swap(quarantine_);
  }
  std::erase_if(kept, [](const std::function<bool()>& retry) { return retry(); });
  std::lock_guard lock{quarantine_mutex_};
  for (auto& retry : kept) quarantine_.push_back(std::move(retry));
  return quarantine_.size();
}

}  // namespace troupe::platform
