#pragma once

// Everything a user of troupe writes, in namespace troupe:
//
//   #include <troupe/troupe.hpp>
//   int main() {
//     troupe::System system;
//     system.node({.chips = 2}).run([](troupe::Orchestrator& node) { node.submit("hello"); });
//   }
//
// The System owns all the rest and is destroyed last. System, Node and Handle may be used from any thread, an
// Orchestrator from its program only. Calls throw troupe::Error. The headers included below have the
// contracts. Names of a floor that are not repeated here live in that floor's namespace (troupe::runtime,
// troupe::comm …).

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/collectives.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/orchestrator.hpp"
#include "troupe/actors/parameters.hpp"
#include "troupe/actors/print.hpp"
#include "troupe/actors/system.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe {

// The machine.
using actors::ChipConfig;
using actors::ChipDevice;
using actors::ChipForTask;
using actors::earliest_finish;
using actors::ExecutorStatus;
using actors::Handle;
using actors::least_loaded;
using actors::Node;
using actors::NodeConfig;
using actors::PlacementPolicy;
using actors::PodConfig;
using actors::RestartLimit;
using actors::RunOptions;
using actors::RunReport;
using actors::System;
using actors::SystemConfig;
using actors::TaskToPlace;
using actors::where_the_data_is;
using actors::WorkerConfig;

// Programs.
using actors::Args;
using actors::Callable;
using actors::CallableRef;
using actors::collective_workspace;
using actors::collectives;
using actors::CoreKind;
using actors::Domain;
using actors::DomainBuffer;
using actors::DomainRank;
using actors::DomainSpec;
using actors::Orchestrator;
using actors::Plan;
using actors::Program;
using actors::Scope;
using actors::Slot;
using actors::Task;
using actors::Tensor;

// Arguments and options of a submit.
using actors::after;
using actors::anywhere;
using actors::args;
using actors::blocks;
using actors::deadline;
using actors::idempotent;
using actors::in;
using actors::inout;
using actors::name;
using actors::no_dep;
using actors::on;
using actors::on_chip;
using actors::out;
using actors::out_existing;
using actors::priority;
using actors::retry;
using actors::scalar;

// Data.
using runtime::CallConfig;
using runtime::Compare;
using runtime::DType;
using runtime::HostArgs;
using runtime::KernelArgs;
using runtime::Module;
using runtime::Shape;
using runtime::this_module;
using runtime::WaitStatus;

/// `chips(0, 1, 2, 3)`, for a DomainSpec or a group. Throws `no_such_chip` for a number that no chip can
/// have.
template <std::integral... Numbers>
std::vector<int> chips(Numbers... numbers) {
  const auto number = [](auto value) {
    if (std::in_range<int>(value)) return static_cast<int>(value);
    throw Error(actors::Errc::no_such_chip, "there is no chip number " + std::to_string(value));
  };
  return {number(numbers)...};
}
/// Chips 0 to count-1.
inline std::vector<int> first_chips(int count) {
  std::vector<int> list;
  for (int i = 0; i < count; ++i) list.push_back(i);
  return list;
}

inline namespace literals {
constexpr std::uint64_t operator""_KiB(unsigned long long n) { return n << 10U; }
constexpr std::uint64_t operator""_MiB(unsigned long long n) { return n << 20U; }
constexpr std::uint64_t operator""_GiB(unsigned long long n) { return n << 30U; }
}  // namespace literals

}  // namespace troupe
