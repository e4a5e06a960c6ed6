#include "troupe/runtime/task_args.hpp"

#include "text.hpp"

namespace troupe::runtime {
namespace {

std::string argument(std::string_view kind, std::size_t index, std::string_view name) {
  return name.empty() ? text(kind, " argument ", index)
                      : text(kind, " argument ", index, " (\"", name, "\")");
}

Error too_many(Errc code, std::string_view kind, std::size_t limit, std::string_view name) {
  return Error(
      code,
      text(argument(kind, limit, name), ": a task of this kind carries at most ", limit, " ", kind, "s"),
      "pack values that belong together into one tensor");
}

Result<void> check_use(const Tensor& tensor, Tag tag, std::size_t index, std::string_view name) {
  if (!is_tag(static_cast<std::uint32_t>(tag))) {
    return Error(Errc::unknown_tag,
                 text(argument("tensor", index, name), " has unknown tag ", static_cast<unsigned>(tag)));
  }
  if (!tensor.valid()) {
    return Error(Errc::invalid_args, text(argument("tensor", index, name), " is no tensor"),
                 "a default-constructed Tensor describes nothing");
  }
  if (!tensor.allocated() && tag != Tag::out) {
    return Error(Errc::invalid_args,
                 text(argument("tensor", index, name), " (", to_string(tensor), ") is tagged ", name_of(tag),
                      " but has no memory"),
                 "only an out argument may be left to be allocated");
  }
  return {};
}

}  // namespace

Result<void> validate(const TaskArgsView& view, const ArgLimits& limits) {
  if (view.tensors.size() > limits.tensors)
    return too_many(Errc::too_many_tensors, "tensor", limits.tensors, {});
  if (view.scalars.size() > limits.scalars)
    return too_many(Errc::too_many_scalars, "scalar", limits.scalars, {});
  if (view.tags.size() != view.tensors.size()) {
    return Error(Errc::invalid_args, text(view.tags.size(), " tags for ", view.tensors.size(), " tensors"));
  }
  for (std::size_t i = 0; i < view.tensors.size(); ++i) {
    // The layout first: a tensor that breaks its invariants cannot even be printed.
    if (auto ok = Tensor::validate(view.tensors[i]); !ok) {
      return Error(ok.error().code(), text(argument("tensor", i, {}), ": ", ok.error().message()),
                   ok.error().hint());
    }
    if (auto ok = check_use(view.tensors[i], view.tags[i], i, {}); !ok) return ok;
  }
  return {};
}

Result<void> TaskArgs::try_add(const TensorArg& arg, std::string_view name) {
  if (tensors_.size() >= limits_.tensors)
    return too_many(Errc::too_many_tensors, "tensor", limits_.tensors, name);
  if (auto ok = check_use(arg.tensor, arg.tag, tensors_.size(), name); !ok) return ok;
  tensors_.push_back(arg.tensor);
  tags_.push_back(arg.tag);
  return {};
}

Result<void> TaskArgs::try_add(const ScalarArg& arg, std::string_view name) {
  if (scalars_.size() >= limits_.scalars)
    return too_many(Errc::too_many_scalars, "scalar", limits_.scalars, name);
  scalars_.push_back(arg.word);
  return {};
}

void TaskArgs::clear() noexcept {
  tensors_.clear();
  tags_.clear();
  scalars_.clear();
}

void detail::refuse_blocks(std::int64_t count) {
  throw Error(Errc::invalid_args, text("blocks(", count, "): a task runs as 1 to 4294967295 blocks"),
              "leave it out for one");
}

}  // namespace troupe::runtime
