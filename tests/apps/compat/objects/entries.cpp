// Orchestrations, an entry each. Kernels: 0 add, 1 scale, 2 all_sum, 3 bytes.
#include "support/orchestration_object.hpp"

using object::NewTensor;

extern "C" OBJECT_EXPORT void add_entry(const ChipArguments& run) {
  TaskArguments add;
  add.in(run.tensor(0)).in(run.tensor(1)).out(run.tensor(2));
  object::aiv(0, add);
}

/// (a + b) * factor + a, over two tensors that the chip makes.
extern "C" OBJECT_EXPORT void chain_entry(const ChipArguments& run) {
  const auto& a = run.tensor(0);
  const NewTensor like(a.shape, a.ndims);
  TaskArguments add;
  add.in(a).in(run.tensor(1)).out(like);
  const auto sum = object::aiv(0, add);
  TaskArguments scale;
  scale.in(sum[0]).out(like).scalar(run.scalar_as<float>(0));
  const auto scaled = object::aiv(1, scale);
  TaskArguments again;
  again.in(scaled[0]).in(a).out(run.tensor(2));
  object::aiv(0, again);
}

/// x += b.
extern "C" OBJECT_EXPORT void add_to_entry(const ChipArguments& run) {
  TaskArguments add;
  add.in(run.tensor(0)).in(run.tensor(1)).inout(run.tensor(0));
  object::aiv(0, add);
}

extern "C" OBJECT_EXPORT void all_sum_entry(const ChipArguments& run) {
  TaskArguments sum;
  sum.in(run.tensor(0)).inout(run.tensor(1)).out(run.tensor(2));
  sum.scalar(run.scalar_as<std::uint64_t>(0)).scalar(run.scalar_as<std::uint64_t>(1));
  object::aiv(2, sum);
}

extern "C" OBJECT_EXPORT void bytes_entry(const ChipArguments& run) {
  TaskArguments bytes;
  bytes.in(run.tensor(0)).out(run.tensor(1));
  object::aiv(3, bytes);
}

/// The last tensor becomes the sum of all others, however many they are.
extern "C" OBJECT_EXPORT void sum_entry(const ChipArguments& run) {
  const auto& total = run.tensor(run.tensor_count - 1);
  for (int i = 0; i + 1 < run.tensor_count; ++i) {
    TaskArguments add;
    add.in(run.tensor(i)).in(total).inout(total);
    object::aiv(0, add);
  }
}

extern "C" OBJECT_EXPORT void fatal_entry(const ChipArguments& run) {
  OBJECT_FATAL(static_cast<std::int32_t>(run.scalar_as<std::uint64_t>(0)), "as it was told to");
}

/// So many tasks in one scope.
extern "C" OBJECT_EXPORT void tasks_entry(const ChipArguments& run) {
  const object::Scope scope;
  for (std::uint64_t i = 0; i < run.scalar_as<std::uint64_t>(0); ++i) {
    TaskArguments add;
    add.in(run.tensor(0)).in(run.tensor(1)).out(run.tensor(2));
    object::aiv(0, add);
  }
}

namespace {
void nest(const ChipArguments& run, int depth) {
  const object::Scope scope;
  for (std::uint64_t i = 0; i < run.scalar_as<std::uint64_t>(0); ++i) object::dummy(TaskArguments());
  if (depth > 1) nest(run, depth - 1);
}
}  // namespace

/// Eight scopes inside each other, so many tasks in each.
extern "C" OBJECT_EXPORT void nested_entry(const ChipArguments& run) { nest(run, 8); }

/// Its second tensor gets an element of the first before a task reads it.
extern "C" OBJECT_EXPORT void elements_entry(const ChipArguments& run) {
  const auto index = static_cast<std::uint32_t>(run.scalar_as<std::uint64_t>(0));
  object::set(run.tensor(1), 0, object::get<float>(run.tensor(0), index));
  TaskArguments add;
  add.in(run.tensor(0)).in(run.tensor(1)).out(run.tensor(2));
  object::aiv(0, add);
}

extern "C" OBJECT_EXPORT void logs_entry(const ChipArguments&) {
  OBJECT_LOG(error, "said as an %s", "error");
  OBJECT_LOG(warn, "said as a %s", "warning");
  OBJECT_LOG(info, "said as %s", "information");
  OBJECT_LOG(debug, "said as a %s", "detail");
}

/// One task behind so many others.
extern "C" OBJECT_EXPORT void fan_entry(const ChipArguments& run) {
  static std::uint64_t tasks[1024];
  const auto count = run.scalar_as<std::uint64_t>(0);
  for (std::uint64_t i = 0; i < count; ++i) tasks[i] = object::dummy(TaskArguments()).task;
  TaskArguments last;
  last.after(tasks, static_cast<std::uint32_t>(count));
  object::dummy(last);
}
