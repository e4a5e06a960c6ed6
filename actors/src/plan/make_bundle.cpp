// Tasks of a plan as one: what they use together, and how each of them sees it.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "data/data.hpp"
#include "plan/fuse.hpp"
#include "tasks.hpp"

namespace troupe::actors {
namespace {

/// Different views of one tensor that become arguments of their own; with more the whole tensor is one.
constexpr std::size_t most_views = 4;
constexpr std::size_t most_arguments = 120, most_scalars = 100;
static_assert(most_arguments < Bundle::most_arguments);  // with the workspace
constexpr std::uint64_t alignment = runtime::limits::block_alignment;

class BundleMaker {
 public:
  BundleMaker(const Analysed& of, const std::vector<std::uint32_t>& tasks, const std::vector<bool>& local,
              Bundle& bundle, PlanStep& step)
      : of_(of), tasks_(tasks), local_(local), bundle_(bundle), step_(step) {}

  bool make() {
    if (tasks_.size() > most_tasks) return false;
    gather();
    if (!place_locals() || !make_arguments()) return false;
    std::map<std::uint32_t, std::uint32_t> inside;
    for (std::uint32_t i = 0; i < tasks_.size(); ++i) inside.emplace_hint(inside.end(), tasks_[i], i);
    for (std::uint32_t i = 0; i < tasks_.size(); ++i) add(i, inside);
    end_task();
    const auto& first = of_.recording.tasks[tasks_.front()].call;
    step_.call.target = first.target;
    step_.call.priority = first.priority;
    return step_.call.args.values.scalars.size() <= most_scalars && codes_.size() <= 0xFFFF &&
           bundle_.names.size() <= 0xFFFF && bundle_.options.size() <= 0xFFFF && fits_ && trim();
  }

 private:
  static constexpr std::size_t most_tasks = 1U << 24U;

  /// A tensor that is not theirs alone, with the views that they have of it.
  struct Shared {
    std::vector<Operand> views;            ///< different ones, as they came
    std::vector<std::uint32_t> arguments;  ///< for each view, or one for all
    bool as_one = false;
  };

  bool is_local(const PlanRoot& root) const {
    return root.kind == PlanRoot::Kind::intermediate && local_[root.index];
  }
  template <class Visit>
  void for_each_operand(Visit visit) const {
    for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
      const auto& operands = of_.recording.tasks[tasks_[i]].call.args.values.tensors;
      const auto& roots = of_.roots[tasks_[i]];
      for (std::size_t k = 0; k < operands.size(); ++k) visit(i, operands[k], roots[k]);
    }
  }

  void gather() {
    for_each_operand([&](std::uint32_t, const Operand& operand, const PlanRoot& root) {
      if (is_local(root)) return;
      auto& views = shared_[root].views;
      if (views.size() > most_views && root.kind != PlanRoot::Kind::fixed) return;
      for (const auto& known : views) {
        if (known.tensor == operand.tensor) return;
      }
      views.push_back(operand);
    });
  }

  /// Intermediates of theirs alone lie in one block. Where that would be too large, they follow each other in
  /// the same bytes, and their tasks come after each other.
  bool place_locals() {
    struct Use {
      std::uint32_t last = 0;
      std::vector<std::uint32_t> tasks;
    };
    std::map<std::uint32_t, Use> uses;
    for_each_operand([&](std::uint32_t task, const Operand&, const PlanRoot& root) {
      if (!is_local(root)) return;
      auto& use = uses[root.index];
      use.last = task;
      if (use.tasks.empty() || use.tasks.back() != task) use.tasks.push_back(task);
    });
    if (uses.empty()) return true;
    struct Free {
      std::uint64_t offset = 0;
      const std::vector<std::uint32_t>* tasks = nullptr;
    };
    std::multimap<std::uint32_t, std::uint32_t> ends;             // last task: intermediate
    std::map<std::uint64_t, std::vector<Free>> free;              // by bytes
    std::vector<std::pair<std::uint32_t, std::uint32_t>> begins;  // first task, intermediate
    for (const auto& [index, use] : uses) begins.emplace_back(use.tasks.front(), index);
    std::sort(begins.begin(), begins.end());
    const auto bytes_of = [&](std::uint32_t index) {
      const auto& it = of_.image.intermediates[index];
      const auto bytes = it.shape.elements().value() * runtime::size_of(it.dtype);
      return (bytes + alignment - 1) / alignment * alignment;
    };
    const auto most = std::min<std::uint64_t>(of_.recording.arena_bytes, std::uint64_t{1} << 40U);
    const auto usual = most / 4;
    more_.resize(tasks_.size());
    for (const auto& [first, index] : begins) {
      const auto bytes = bytes_of(index);
      while (!ends.empty() && ends.begin()->first < first) {
        const auto gone = ends.begin()->second;
        free[bytes_of(gone)].push_back({offsets_[gone], &uses[gone].tasks});
        ends.erase(ends.begin());
      }
      auto spare = free.find(bytes);
      if (local_bytes_ + bytes > usual && spare != free.end() && !spare->second.empty()) {
        // The one that is free the longest; the task that used it has to have ended.
        const auto taken = spare->second.front();
        spare->second.erase(spare->second.begin());
        offsets_[index] = taken.offset;
        for (const auto task : uses[index].tasks)
          more_[task].insert(more_[task].end(), taken.tasks->begin(), taken.tasks->end());
      } else {
        if (bytes > most - local_bytes_) return false;
        offsets_[index] = local_bytes_;
        local_bytes_ += bytes;
      }
      ends.emplace(uses[index].last, index);
    }
    return true;
  }

  bool make_arguments() {
    for (auto& [root, shared] : shared_) {
      const auto whole = covering(root, shared.views);
      if (whole) {
        shared.as_one = true;
        shared.arguments.push_back(add_argument(root, *whole));
      } else {
        for (const auto& view : shared.views) shared.arguments.push_back(add_argument(root, view));
      }
      if (step_.roots.size() > most_arguments) return false;
    }
    note_uses();
    auto& arguments = step_.call.args.values.tensors;
    for (std::size_t i = 0; i < arguments.size(); ++i) arguments[i].tag = tags_[i].value_or(runtime::Tag::in);
    if (local_bytes_ == 0) return true;
    // The block is an intermediate of the plan like any other.
    const auto elements = local_bytes_ / 8;
    if (elements > UINT32_MAX) return false;
    workspace_ = static_cast<std::uint32_t>(arguments.size());
    step_.workspace = PlanIntermediate{runtime::Shape(elements), runtime::DType::u64};
    bundle_.has_workspace = true;
    return true;
  }

  /// What all views of a tensor are parts of, if they are to be one argument.
  std::optional<Operand> covering(const PlanRoot& root, const std::vector<Operand>& views) const {
    if (views.size() == 1 || root.kind == PlanRoot::Kind::fixed) return std::nullopt;
    if (views.size() <= most_views) {
      for (const auto& view : views) {
        const auto box = runtime::make_box(view.tensor);
        const bool all = std::all_of(views.begin(), views.end(), [&](const Operand& other) {
          return runtime::covers(box, runtime::make_box(other.tensor));
        });
        if (all) return view;
      }
      bool apart = true;
      for (std::size_t i = 0; i < views.size(); ++i) {
        for (std::size_t k = 0; k < i; ++k) {
          apart = apart &&
                  !runtime::overlaps(runtime::make_box(views[i].tensor), runtime::make_box(views[k].tensor));
        }
      }
      if (apart) return std::nullopt;
    }
    switch (root.kind) {
      case PlanRoot::Kind::slot:
        return Operand({of_.image.parameters[root.index].tensor, runtime::Tag::in});
      case PlanRoot::Kind::captured:
        return of_.image.captures[root.index].whole;
      default:
        break;
    }
    const auto& made = of_.image.intermediates[root.index];
    const auto& part = views.front().tensor;
    return Operand(
        {runtime::Tensor::create(part.buffer(), part.buffer_bytes(), 0, made.shape, made.dtype).value(),
         runtime::Tag::in});
  }

  std::uint32_t add_argument(const PlanRoot& root, const Operand& operand) {
    step_.roots.push_back(root);
    step_.call.args.values.tensors.push_back(operand);
    tags_.emplace_back();
    return static_cast<std::uint32_t>(tags_.size()) - 1;
  }
  std::uint32_t argument_for(const PlanRoot& root, const runtime::Tensor& view) const {
    const auto& shared = shared_.find(root)->second;
    if (shared.as_one) return shared.arguments.front();
    for (std::size_t i = 0; i < shared.views.size(); ++i) {
      if (shared.views[i].tensor == view) return shared.arguments[i];
    }
    return shared.arguments.front();
  }
  /// A task reads before it writes, in whatever order it names its arguments.
  void note_uses() {
    for (const auto task : tasks_) {
      const auto& operands = of_.recording.tasks[task].call.args.values.tensors;
      const auto& roots = of_.roots[task];
      for (const bool reading : {true, false}) {
        for (std::size_t k = 0; k < operands.size(); ++k) {
          if (runtime::reads(operands[k].tag) == reading && !is_local(roots[k]))
            note_use(argument_for(roots[k], operands[k].tensor), operands[k]);
        }
      }
    }
  }
  /// How they use it together: what is written first, all of it, need not come in.
  void note_use(std::uint32_t argument, const Operand& operand) {
    const auto tag = operand.tag;
    auto& known = tags_[argument];
    const bool all = operand.tensor == step_.call.args.values.tensors[argument].tensor;
    const bool overwrites = all && (tag == runtime::Tag::out || tag == runtime::Tag::out_existing);
    if (!known) {
      known = overwrites ? runtime::Tag::out : runtime::writes(tag) ? runtime::Tag::inout : runtime::Tag::in;
    } else if (*known == runtime::Tag::in && runtime::writes(tag)) {
      known = runtime::Tag::inout;
    }
  }

  void end_task() {
    Bundle::Task& task = bundle_.tasks.emplace_back();
    task.tensors = static_cast<std::uint32_t>(bundle_.tensors.size());
    task.scalars = static_cast<std::uint32_t>(bundle_.scalars.size());
    task.producers = static_cast<std::uint32_t>(bundle_.producers.size());
  }

  void add(std::uint32_t index, const std::map<std::uint32_t, std::uint32_t>& inside) {
    const auto& recorded = of_.recording.tasks[tasks_[index]];
    const auto& args = recorded.call.args;
    end_task();
    auto& task = bundle_.tasks.back();
    task.callable = code_of(recorded);
    task.name = name_of(recorded);
    task.option = option_of(recorded);
    for (std::size_t k = 0; k < args.values.tensors.size(); ++k) {
      const auto& operand = args.values.tensors[k];
      bundle_.tensors.push_back(view_of(of_.roots[tasks_[index]][k], operand.tensor) << Bundle::tag_bits |
                                static_cast<std::uint32_t>(operand.tag));
    }
    for (const auto& use : args.slots)
      bundle_.patches.push_back({task.scalars + use.scalar, scalar_of(use, args.values)});
    bundle_.scalars.insert(bundle_.scalars.end(), args.values.scalars.begin(), args.values.scalars.end());
    for (std::size_t k = 0; k < args.values.scalars.size(); ++k) {
      const auto* kinds = args.values.kinds();
      bundle_.scalar_kinds.push_back(kinds != nullptr ? kinds[k] : 0);
    }
    add_producers(index, inside);
  }

  void add_producers(std::uint32_t index, const std::map<std::uint32_t, std::uint32_t>& inside) {
    std::vector<std::uint32_t> list;
    for (const auto producer : of_.producers[tasks_[index]]) {
      if (const auto known = inside.find(producer); known != inside.end()) list.push_back(known->second);
    }
    if (!more_.empty()) list.insert(list.end(), more_[index].begin(), more_[index].end());
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    bundle_.producers.insert(bundle_.producers.end(), list.begin(), list.end());
  }

  std::uint16_t code_of(const RecordedTask& recorded) {
    auto owned = recorded.call.extras ? recorded.call.extras->owned : nullptr;
    const auto [known, is_new] =
        codes_.try_emplace({recorded.callable, owned.get()}, static_cast<std::uint32_t>(bundle_.code.size()));
    if (is_new) {
      bundle_.keeps_strides = bundle_.keeps_strides || recorded.callable->descriptor == nullptr;
      bundle_.code.push_back({recorded.callable, std::move(owned)});
    }
    return static_cast<std::uint16_t>(known->second);
  }
  std::uint16_t name_of(const RecordedTask& recorded) {
    if (!recorded.call.extras || recorded.call.extras->name.empty()) return 0;
    const auto& name = recorded.call.extras->name;
    const auto [known, is_new] =
        names_.try_emplace(name, static_cast<std::uint32_t>(bundle_.names.size()) + 1);
    if (is_new) bundle_.names.push_back(name);
    return static_cast<std::uint16_t>(known->second);
  }
  std::uint16_t option_of(const RecordedTask& recorded) {
    const auto* extras = recorded.call.extras.get();
    if (extras == nullptr || (extras->blocks == 0 && !extras->config)) return 0;
    // Those of one kind mostly follow each other.
    if (bundle_.options.empty() || bundle_.options.back().blocks != extras->blocks || extras->config ||
        bundle_.options.back().config)
      bundle_.options.push_back({extras->blocks, extras->config});
    return static_cast<std::uint16_t>(bundle_.options.size());
  }

  std::uint32_t view_of(const PlanRoot& root, const runtime::Tensor& tensor) {
    const std::uint32_t layout = layout_of(tensor);
    std::uint32_t argument = workspace_;
    std::uint64_t offset = tensor.byte_offset();
    if (is_local(root)) {
      offset += offsets_[root.index];
    } else {
      argument = argument_for(root, tensor);
      offset -= step_.call.args.values.tensors[argument].tensor.byte_offset();
    }
    fits_ = fits_ && offset < Bundle::offsets && layout < Bundle::most_layouts;
    const auto [known, is_new] =
        views_.try_emplace({argument, layout, offset}, static_cast<std::uint32_t>(bundle_.views.size()));
    if (is_new)
      bundle_.views.push_back(
          {offset % Bundle::offsets, argument % Bundle::most_arguments, layout % Bundle::most_layouts});
    return known->second;
  }
  std::uint32_t layout_of(const runtime::Tensor& tensor) {
    Bundle::Layout layout;
    layout.dims = static_cast<std::uint8_t>(tensor.dims());
    layout.dtype = tensor.dtype();
    for (std::size_t d = 0; d < tensor.dims(); ++d) {
      layout.shape[d] = tensor.extent(d);
      layout.strides[d] = tensor.stride(d);
    }
    const auto [known, is_new] =
        layouts_.try_emplace(layout, static_cast<std::uint32_t>(bundle_.layouts.size()));
    if (is_new) bundle_.layouts.push_back(layout);
    return known->second;
  }
  std::uint32_t scalar_of(const detail::SlotUse& use, const Arguments& args) {
    auto& whole = step_.call.args;
    for (const auto& known : whole.slots) {
      if (known.slot == use.slot) return known.scalar;
    }
    const auto number = static_cast<std::uint32_t>(whole.values.scalars.size());
    const auto* kinds = args.kinds();
    whole.values.add({args.scalars[use.scalar], kinds != nullptr
                                                    ? static_cast<runtime::ScalarKind>(kinds[use.scalar])
                                                    : runtime::ScalarKind::any});
    whole.slots.push_back({number, use.slot});
    return number;
  }
  bool trim() {
    bundle_.tasks.shrink_to_fit();
    bundle_.tensors.shrink_to_fit();
    bundle_.views.shrink_to_fit();
    bundle_.scalars.shrink_to_fit();
    bundle_.scalar_kinds.shrink_to_fit();
    bundle_.producers.shrink_to_fit();
    return true;
  }

  const Analysed& of_;
  const std::vector<std::uint32_t>& tasks_;
  const std::vector<bool>& local_;
  Bundle& bundle_;
  PlanStep& step_;
  std::map<PlanRoot, Shared> shared_;
  std::vector<std::optional<runtime::Tag>> tags_;   ///< of the arguments
  std::map<std::uint32_t, std::uint64_t> offsets_;  ///< of local intermediates
  std::uint64_t local_bytes_ = 0;
  std::uint32_t workspace_ = 0;                   ///< the argument that they lie in
  std::vector<std::vector<std::uint32_t>> more_;  ///< producers that only share bytes
  bool fits_ = true;                              ///< its views have room for what they say
  std::map<std::pair<const Callable*, const Callable*>, std::uint32_t> codes_;
  std::map<std::string, std::uint32_t, std::less<>> names_;
  std::map<Bundle::Layout, std::uint32_t> layouts_;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>, std::uint32_t> views_;
};

}  // namespace

bool make_bundle(const Analysed& of, const std::vector<std::uint32_t>& tasks, const std::vector<bool>& local,
                 Bundle& bundle, PlanStep& step) {
  return BundleMaker(of, tasks, local, bundle, step).make();
}

}  // namespace troupe::actors
