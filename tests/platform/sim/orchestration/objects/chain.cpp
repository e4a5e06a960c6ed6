// The smallest: two tasks, a tensor between them that the chip makes.
#include "support/orchestration_object.hpp"

extern "C" OBJECT_EXPORT void aicpu_orchestration_entry(const ChipArguments& run) {
  const auto& x = run.tensor(0);
  const auto& y = run.tensor(1);
  object::NewTensor between(x.shape, x.ndims);
  TaskArguments first;
  first.in(x).out(between).scalar(2.0f).scalar(1.0f);
  const auto made = object::aiv(0, first);
  TaskArguments second;
  second.in(made[0]).out(y).scalar(10.0f).scalar(run.scalar_as<float>(0));
  object::aic(7, second);
}

struct Wanted {
  std::int32_t arguments;
};
extern "C" OBJECT_EXPORT Wanted aicpu_orchestration_config(const ChipArguments&) { return {3}; }
