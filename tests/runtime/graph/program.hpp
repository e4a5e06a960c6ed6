#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/task_graph.hpp"

// Random programs for the dependency engine: a list of operations in program order, made from a seed alone.
namespace troupe::test {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t n) { return random() % n; }
inline bool chance(Random& random, unsigned percent) { return below(random, 100) < percent; }

// A strided view of a buffer, kept as it was made: its bytes are enumerated, never taken from a Box.
struct View {
  std::uint32_t buffer = 0;
  std::uint64_t offset = 0;
  std::vector<std::uint32_t> extents;
  std::vector<std::uint64_t> strides;  // bytes
  std::uint32_t element = 1;

  std::vector<std::uint32_t> bytes() const;  // offsets in the buffer, in view order
  runtime::Box box() const { return runtime::make_box(offset, extents, strides, element); }
};

struct Use {
  View view;
  runtime::Tag tag{};
};

struct Op {
  enum class Kind : std::uint8_t { task, alloc, release, begin_scope, end_scope, cancel };
  Kind kind = Kind::task;
  std::uint32_t id = 0;  // of the task (submitted or cancelled) or of the buffer
  // A task:
  std::vector<Use> uses;
  std::vector<std::uint32_t> after;  // tasks
  std::uint32_t members = 1, events = 0, ready_kind = 0, executor = runtime_any;
  std::int32_t priority = 0;
  bool fails = false, node_only = false;
  std::uint64_t bytes = 0;  // alloc
  static constexpr std::uint32_t runtime_any = 0xFFFF'FFFF;
};

struct Program {
  struct External {
    std::uint64_t address = 0, bytes = 0;
  };
  std::vector<External> externals;  // buffers 0 .. n-1, in one arena; they may overlap
  std::vector<Op> ops;
  std::uint64_t arena_bytes = 0, alignment = 64;
  std::uint32_t tasks = 0, buffers = 0, executors = 2, window = 0;
  bool exact = false;        // regions equal, nested or disjoint: poison has to be exact
  bool never_stuck = false;  // the memory is enough for running the program one task at a time
  static constexpr std::uint64_t external_bytes = 1536;
};

Program make_program(std::uint64_t seed);
std::string to_string(const Program& program);

// Runs the program through a TaskGraph in a random legal order. Empty: everything held; else what did not.
std::string run_program(const Program& program, std::uint64_t schedule_seed);
// The same in a graph that may have been used, which is started again.
std::string run_program(const Program& program, std::uint64_t schedule_seed, runtime::TaskGraph& graph);

}  // namespace troupe::test
