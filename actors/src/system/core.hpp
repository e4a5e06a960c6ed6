#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "program/program.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/system.hpp"
#include "troupe/platform/crash_report.hpp"

namespace troupe::actors {

struct SystemCore {
  explicit SystemCore(const SystemConfig& config);
  ~SystemCore();

  /// Steps a deterministic system until `done` or nothing is runnable.
  void step_until(const std::function<bool()>& done) const;
  /// The process is about to die of it.
  void crashed(const platform::Crash& crash) const;

  SystemConfig config;
  std::shared_ptr<Services> services;
  CafConfig caf_config;
  caf::actor_system actors;
  std::shared_ptr<PumpPool> pumps;
  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::mutex mutex;
  std::vector<std::shared_ptr<NodeCore>> nodes;
  NodeConfig defaults;
  std::optional<platform::CrashReport> crash_report;  ///< last: it uses what is above
};

struct NodeCore {
  std::shared_ptr<NodeShared> shared;
  std::mutex mutex;
  Worker worker;  ///< null: the system has gone
  std::atomic<bool> gone{false};
  std::set<std::string> models;  ///< files in which its nodes keep what they learn

  /// The worker; throws `shut_down` when it has gone.
  Worker get();
  void cancel(const caf::weak_actor_ptr& run) const;
};

/// What a handle keeps of its run.
struct RunRef {
  std::shared_ptr<RunOutcome> outcome;
  std::shared_ptr<NodeCore> node;
  caf::weak_actor_ptr run;
};

/// For the test kit.
struct SystemAccess {
  static SystemCore& core(const System& system) { return *system.core_; }
  static NodeCore& core(const Node& node) { return *node.core_; }
};

}  // namespace troupe::actors
