#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/callable.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::actors {

/// The callables that the programs of a node (and of all levels below a pod) can name, and that the chip
/// programs of its chips can. Things are added, never removed, so that a pointer to one stays good.
/// Thread-safe.
class TROUPE_API CallableRegistry {
 public:
  /// Errors: `bad_argument` when the name stands for something else already.
  Result<const Callable*> add(CallableRef callable);
  Result<void> load(const runtime::Module& module);
  Result<const Callable*> find(std::string_view name) const;
  std::vector<std::string> names() const;

  /// How many of them run on chips; who has seen all of these need not ask again.
  std::size_t on_chips() const noexcept { return on_chips_.load(std::memory_order_acquire); }
  /// Those from number `first` on, in the order they were added.
  std::vector<const Callable*> on_chips_from(std::size_t first) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, CallableRef, std::less<>> by_name_;
  std::vector<const Callable*> for_chips_;
  std::atomic<std::size_t> on_chips_{0};
  std::vector<runtime::Module> modules_;
};

}  // namespace troupe::actors
