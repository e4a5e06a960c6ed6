#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plan/image.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::actors {

/// A submit as a program made it.
struct RecordedTask {
  const Callable* callable = nullptr;
  detail::SubmitCall call;
  std::vector<Args> members;  ///< of a group
  std::vector<int> chips;
  std::vector<std::uint32_t> after;  ///< recorded tasks
};

/// All that a program did while it was recorded.
struct Recording {
  std::string name;
  std::uint32_t node = 0;
  std::string path;
  std::weak_ptr<const void> system;  ///< an address would come back with the next System
  std::shared_ptr<const void> callables;
  std::uint64_t arena_bytes = 0;
  bool one_chip = false;                         ///< so that every task of a chip runs there
  bool names_lines = true;                       ///< what is refused says where it stands in the code
  std::vector<detail::PlanArgument> parameters;  ///< tensors with their buffers
  struct Intermediate {
    std::uint64_t number = 0;  ///< as its program calls it
    PlanIntermediate what;
  };
  std::vector<Intermediate> intermediates;
  std::vector<RecordedTask> tasks;
  /// What keeps the windows of a communication domain.
  std::function<std::shared_ptr<const void>(std::uint64_t domain)> keep_domain;
};

/// The bytes of a view in its memory: those of two views of one memory can be compared.
runtime::Box box_in(const runtime::Tensor& view);

/// Makes a plan of it. Throws what a plan cannot have.
TROUPE_API std::shared_ptr<const PlanImage> compile(Recording recording);

}  // namespace troupe::actors
