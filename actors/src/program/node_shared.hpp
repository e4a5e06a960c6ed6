#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "callable_registry.hpp"
#include "data/data.hpp"
#include "run/run.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/config.hpp"
#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/status.hpp"

namespace troupe::actors {

/// What chips that came up from configuration were given: written by their worker, read by programs and
/// users. Thread-safe.
class ConfiguredChips {
 public:
  void set(std::int32_t chip, comm::ChipContext context, std::shared_ptr<const DomainInfo> domain = {}) {
    std::lock_guard guard(mutex_);
    chips_[chip] = {std::move(context), std::move(domain)};
  }
  /// Its device died (or a peer's): what it had is gone until it is back.
  void forget(std::int32_t chip) {
    std::lock_guard guard(mutex_);
    if (auto known = chips_.find(chip); known != chips_.end()) known->second = {};
  }
  std::optional<comm::ChipContext> context(std::int32_t chip) const {
    std::lock_guard guard(mutex_);
    const auto known = chips_.find(chip);
    return known == chips_.end() ? std::nullopt : known->second.context;
  }
  /// The communicator of a chip; null: none.
  std::shared_ptr<const DomainInfo> domain(std::int32_t chip) const {
    std::lock_guard guard(mutex_);
    const auto known = chips_.find(chip);
    return known == chips_.end() ? nullptr : known->second.domain;
  }
  std::vector<std::int32_t> chips() const {
    std::lock_guard guard(mutex_);
    std::vector<std::int32_t> numbers;
    for (const auto& [chip, what] : chips_) numbers.push_back(chip);
    return numbers;
  }

 private:
  struct One {
    std::optional<comm::ChipContext> context;
    std::shared_ptr<const DomainInfo> domain;
  };
  mutable std::mutex mutex_;
  std::map<std::int32_t, One> chips_;
};

/// What programs may know of a worker's executors, by number: shown to them by the worker, whose table it
/// follows. Thread-safe.
class ExecutorView {
 public:
  void show(ExecutorKind kind, std::string name) {
    if (kind == ExecutorKind::sub_worker) {
      ++sub_workers_;
    } else {
      ++chips_;
    }
    if (kind == ExecutorKind::worker) of_workers_ = true;
    std::lock_guard guard(mutex_);
    kinds_.push_back(kind);
    names_.push_back(std::move(name));
  }
  /// The number of the node below that has this name; -1: there is none.
  int node_called(std::string_view name) const {
    std::lock_guard guard(mutex_);
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      if (kinds_[i] == ExecutorKind::worker && names_[i] == name) return static_cast<int>(i);
    }
    return -1;
  }
  /// False: it is a sub-worker, or there is none. Tasks of chips and nodes cannot be sent there.
  bool takes_tasks(int index) const {
    std::lock_guard guard(mutex_);
    return index >= 0 && static_cast<std::size_t>(index) < kinds_.size() &&
           kinds_[static_cast<std::size_t>(index)].value_or(ExecutorKind::sub_worker) !=
               ExecutorKind::sub_worker;
  }
  /// It takes no more tasks: it has been removed, or is about to be.
  void hide(int index) {
    std::lock_guard guard(mutex_);
    auto& kind = kinds_[static_cast<std::size_t>(index)];
    if (!kind) return;
    --(*kind == ExecutorKind::sub_worker ? sub_workers_ : chips_);
    kind.reset();
  }
  bool was_removed(int index) const {
    std::lock_guard guard(mutex_);
    return index >= 0 && static_cast<std::size_t>(index) < kinds_.size() &&
           !kinds_[static_cast<std::size_t>(index)];
  }
  /// The numbers that tasks of chips and nodes can be sent to, in words.
  std::string numbers() const {
    std::lock_guard guard(mutex_);
    std::vector<std::size_t> list;
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      if (kinds_[i] && *kinds_[i] != ExecutorKind::sub_worker) list.push_back(i);
    }
    if (list.empty()) return "has none";
    if (list.size() == 1) return "has number " + std::to_string(list[0]) + " only";
    std::string text = "has numbers ";
    if (list.back() - list.front() + 1 == list.size())
      return text + std::to_string(list.front()) + " to " + std::to_string(list.back());
    for (std::size_t i = 0; i < list.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(list[i]);
    return text;
  }
  int chips() const { return chips_; }  ///< or workers
  int sub_workers() const { return sub_workers_; }
  bool of_workers() const { return of_workers_; }  ///< a pod: its executors take programs

 private:
  mutable std::mutex mutex_;
  std::vector<std::optional<ExecutorKind>> kinds_;  ///< by number; nothing: it was removed
  std::vector<std::string> names_;
  std::atomic<int> chips_{0};
  std::atomic<int> sub_workers_{0};
  std::atomic<bool> of_workers_{false};
};

class PumpPool;

/// What the programs of a worker may look at from their own threads: names, limits, counts. Thread-safe.
struct NodeShared {
  std::string name;  ///< "node0"
  std::string path;  ///< "pod0/node0"
  /// No other node of the system ever has it: whose memory a device tensor is in.
  std::uint32_t number = 0;
  std::shared_ptr<Services> services;
  std::shared_ptr<PumpPool> pumps;
  std::shared_ptr<HostMemory> memory;
  std::shared_ptr<NodeLink> link;
  std::shared_ptr<CallableRegistry> callables;
  std::uint32_t soft_limit = 8192;
  std::uint32_t hard_limit = 65536;
  std::uint64_t arena_bytes = 0;
  ExecutorView executors;
  ConfiguredChips configured;
};

}  // namespace troupe::actors
