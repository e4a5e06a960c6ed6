// A random program, as a list of steps that an orchestration object and a chip program of a module both run.
// Plain data, so that both sides of the border can read it.
#pragma once

#include <cstdint>
#include <vector>

namespace random_program {

/// Which elements of the memory, or of what a step made, a tensor is.
struct View {
  std::int32_t made = -1;  ///< the step that made its buffer; -1: the memory
  std::uint32_t start = 0, ndims = 1;
  std::uint32_t shape[2] = {1, 1}, strides[2] = {1, 1};
};
enum Use : std::uint8_t { reads, writes, updates };

struct Step {
  enum Kind : std::uint8_t {
    task,
    make,          ///< a task that writes a new tensor of `elements`
    dummy,         ///< waits for its views, does nothing
    begin,         ///< a scope
    begin_manual,  ///< a scope without inference: its tasks name the one before
    end,
    get,  ///< what it reads goes into the numbers of the steps behind it
    set,
    allocate,  ///< a tensor of `elements`, all `number`
  };
  Kind kind = task;
  std::uint32_t count = 0;
  View views[3];
  Use uses[3] = {};
  std::uint32_t number = 0, elements = 0;
  std::int16_t blocks = 1;
  bool mixed = false, predicated = false;
  View flag;
  std::int32_t least = 0;  ///< it runs if the flag is at least this
};

struct Program {
  std::vector<Step> steps;
  std::uint32_t cells = 0;
};

/// What the kernel does, block by block: every element that is written gets a number of what was read, of its
/// own place, and of what was there, where it is updated.
inline std::uint32_t mixed(std::uint32_t a, std::uint32_t b) { return (a ^ b) * 2654435761u + (a >> 7); }

}  // namespace random_program
