#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "troupe/actors/callable.hpp"
#include "troupe/actors/plan.hpp"
#include "troupe/actors/system.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/scalar.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::apps {

/// One task of a callable that comes as bytes (a kernel, or a packed orchestration of another system), or a
/// plan from a file, with tensors in host memory. Owns that memory, so it has to outlive the run.
class PackedProgram {
 public:
  /// `tensors`: "f32[8,64]:in=1.5" (filled), "f32[64]:out", "f32[64]:inout@FILE" (raw bytes, read before; of
  /// an `out`: written afterwards). `scalars`: "f32=0.5". Errors repeat the text that is wrong.
  [[nodiscard]] static Result<PackedProgram> from(const std::string& file,
                                                  const std::vector<std::string>& tensors,
                                                  const std::vector<std::string>& scalars);

  /// The file's name without folder and ending.
  const std::string& name() const noexcept { return name_; }
  bool is_plan() const noexcept { return !plan_file_.empty(); }
  /// Of a plan: its modules before.
  void load(const actors::Node& node);
  /// The program that submits the task; refers to this object.
  [[nodiscard]] actors::BoundProgram bind() const;
  /// Writes the outputs that have a file, and shows the first elements of all.
  [[nodiscard]] Result<void> show(std::ostream& out) const;

 private:
  struct Argument {
    std::string text, file;
    std::vector<std::byte> bytes;
    runtime::TensorArg arg;
  };
  [[nodiscard]] Result<void> add_tensor(const std::string& text);
  [[nodiscard]] Result<void> add_scalar(const std::string& text);
  [[nodiscard]] actors::BoundProgram bind_plan() const;

  std::string name_;
  std::vector<std::uint8_t> bytes_;
  std::string plan_file_;  ///< empty: `bytes_`
  actors::Plan plan_;
  std::vector<Argument> tensors_;
  std::vector<runtime::ScalarArg> scalars_;
};

}  // namespace troupe::apps
