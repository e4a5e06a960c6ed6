// A saved plan and its bytes. Every byte of a file may be anything: each number is checked where it is read.
#include "plan/saved.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <system_error>
#include <utility>

#include "plan/saved_bytes.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/errc.hpp"

namespace troupe::actors {
namespace {

constexpr std::string_view first_bytes = "troupe plan\x1a";
constexpr std::uint8_t version = 1;
constexpr std::size_t largest_file = 1U << 30U;
static_assert(plan_head_bytes == first_bytes.size() + 1 + sizeof(runtime::Digest::bytes));

enum Flag : std::uint8_t {
  has_target = 1,
  has_deadline = 2,
  has_attempts = 4,
  has_config = 8,
  is_group = 16,
  is_idempotent = 32,
  all_flags = 63,
};

void put(PlanWriter& to, const SavedPlan::Scalar& scalar) {
  to.byte(static_cast<std::uint8_t>(scalar.value.kind));
  to.number(static_cast<std::uint64_t>(scalar.slot + 1));
  if (scalar.slot < 0) to.number(scalar.value.word);
}

void put(PlanWriter& to, const SavedPlan::Member& member) {
  to.number(member.tensors.size());
  for (const auto& view : member.tensors) {
    to.byte(
        static_cast<std::uint8_t>(static_cast<unsigned>(view.root) << 4U | static_cast<unsigned>(view.tag)));
    if (view.root != PlanRoot::Kind::fixed) {
      to.number(view.index);
      to.number(view.offset);
    }
    to.number(view.layout);
  }
  to.number(member.scalars.size());
  for (const auto& scalar : member.scalars) put(to, scalar);
  to.number(static_cast<std::uint64_t>(member.home + 1));
}

void put(PlanWriter& to, const SavedPlan::Task& task, std::uint32_t number) {
  to.number(task.code);
  to.number(task.name);
  to.byte(static_cast<std::uint8_t>((task.target ? has_target : 0) | (task.deadline ? has_deadline : 0) |
                                    (task.attempts ? has_attempts : 0) | (task.config ? has_config : 0) |
                                    (task.is_group ? is_group : 0) |
                                    (task.is_idempotent ? is_idempotent : 0)));
  to.signed_number(task.priority);
  to.number(task.blocks);
  if (task.target) to.signed_number(*task.target);
  if (task.deadline) to.signed_number(*task.deadline);
  if (task.attempts) to.signed_number(*task.attempts);
  if (task.config) {
    to.signed_number(task.config->block_dim);
    to.signed_number(task.config->aicpu_thread_num);
    to.byte(static_cast<std::uint8_t>((task.config->enable_profiling ? 1 : 0) |
                                      (task.config->enable_dump_tensor ? 2 : 0)));
  }
  if (task.is_group) {
    to.number(task.members.size());
    to.number(task.chips.size());
    for (const int chip : task.chips) to.signed_number(chip);
  }
  for (const auto& member : task.members) put(to, member);
  to.number(task.after.size());
  for (const auto before : task.after) to.number(number - before - 1);
}

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> body) : from_(body) {}

  std::optional<SavedPlan> decode() {
    plan_.name = from_.text();
    repeat(plan_.layouts, 3, [this] { return layout(); });
    repeat(plan_.parameters, 3, [this] { return parameter(); });
    repeat(plan_.intermediates, 1, [this] { return index_of(plan_.layouts); });
    repeat(plan_.code, 2, [this] { return code(); });
    repeat(plan_.names, 1, [this] { return from_.text(); });
    repeat(plan_.tasks, 9, [this] { return task(); });
    if (!from_.complete()) return std::nullopt;
    return std::move(plan_);
  }

 private:
  /// A list whose items take at least `bytes` each. Nothing is reserved for what may not be there.
  template <class T, class Read>
  void repeat(std::vector<T>& list, std::size_t bytes, Read read) {
    for (auto left = from_.count(bytes); left > 0 && from_.fine(); --left) list.push_back(read());
  }
  template <class T>
  std::uint32_t index_of(const std::vector<T>& list) {
    const auto most = std::min<std::size_t>(list.size(), UINT32_MAX);
    if (most == 0) return static_cast<std::uint32_t>(from_.fail());
    return static_cast<std::uint32_t>(from_.number_to(most - 1));
  }
  std::uint32_t small() { return static_cast<std::uint32_t>(from_.number_to(UINT32_MAX)); }
  template <class T>
  T within() {
    const auto value = from_.signed_number();
    return static_cast<T>(std::in_range<T>(value) ? value : static_cast<std::int64_t>(from_.fail()));
  }

  Bundle::Layout layout() {
    Bundle::Layout made;
    const auto dtype = from_.byte();
    if (!runtime::is_dtype(dtype)) (void)from_.fail();
    made.dtype = static_cast<runtime::DType>(dtype);
    made.dims = static_cast<std::uint8_t>(from_.number_to(runtime::limits::max_dims));
    if (made.dims == 0) (void)from_.fail();
    for (std::size_t d = 0; d < made.dims; ++d) made.shape[d] = small();
    for (std::size_t d = 0; d < made.dims; ++d) made.strides[d] = small();
    return made;
  }
  runtime::ScalarKind kind() {
    const auto value = static_cast<runtime::ScalarKind>(from_.byte());
    if (value != runtime::ScalarKind::any && runtime::name_of(value) == "?") (void)from_.fail();
    return value;
  }
  SavedPlan::Parameter parameter() {
    SavedPlan::Parameter made;
    const auto flags = from_.number_to(3);
    made.is_tensor = (flags & 1U) != 0;
    made.is_slot = (flags & 2U) != 0;
    if (made.is_tensor) {
      made.memory = small();
      made.layout = index_of(plan_.layouts);
      made.buffer_bytes = from_.number();
      made.offset = from_.number();
    } else {
      made.scalar.kind = kind();
      made.scalar.word = from_.number();
    }
    return made;
  }
  SavedPlan::Code code() {
    SavedPlan::Code made;
    made.kind = static_cast<CallableKind>(from_.byte());
    if (made.kind != CallableKind::chip && made.kind != CallableKind::program) (void)from_.fail();
    made.data_task = static_cast<DataTask>(from_.number_to(static_cast<std::uint64_t>(DataTask::pin)));
    if (made.data_task != DataTask::none) {
      if (made.kind != CallableKind::chip) (void)from_.fail();
      return made;
    }
    made.name = from_.text();
    const auto digest = from_.raw(made.digest.bytes.size());
    if (!digest.empty()) std::memcpy(made.digest.bytes.data(), digest.data(), digest.size());
    return made;
  }
  SavedPlan::View view() {
    SavedPlan::View made;
    const auto how = from_.byte();
    const auto root = static_cast<PlanRoot::Kind>(how >> 4U);
    if (!runtime::is_tag(how & 15U) || root > PlanRoot::Kind::intermediate ||
        root == PlanRoot::Kind::captured)
      (void)from_.fail();
    if (!from_.fine()) return made;
    made.root = root;
    made.tag = static_cast<runtime::Tag>(how & 15U);
    if (root == PlanRoot::Kind::slot) {
      made.index = index_of(plan_.parameters);
      if (from_.fine() && !plan_.parameters[made.index].is_tensor) (void)from_.fail();
    } else if (root == PlanRoot::Kind::intermediate) {
      made.index = index_of(plan_.intermediates);
    }
    if (root != PlanRoot::Kind::fixed) made.offset = from_.number();
    made.layout = index_of(plan_.layouts);
    return made;
  }
  SavedPlan::Scalar scalar() {
    SavedPlan::Scalar made;
    made.value.kind = kind();
    const auto most = std::min<std::size_t>(plan_.parameters.size(), INT32_MAX);
    made.slot = static_cast<std::int32_t>(from_.number_to(most)) - 1;
    if (made.slot < 0) {
      made.value.word = from_.number();
      return made;
    }
    const auto& of = plan_.parameters[static_cast<std::size_t>(made.slot)];
    if (of.is_tensor || !of.is_slot || of.scalar.kind != made.value.kind) (void)from_.fail();
    made.value = of.scalar;
    return made;
  }
  SavedPlan::Member member() {
    SavedPlan::Member made;
    repeat(made.tensors, 2, [this] { return view(); });
    repeat(made.scalars, 2, [this] { return scalar(); });
    made.home = static_cast<std::int32_t>(from_.number_to(INT32_MAX)) - 1;
    return made;
  }
  runtime::CallConfig config() {
    runtime::CallConfig made;
    made.block_dim = within<std::int32_t>();
    made.aicpu_thread_num = within<std::int32_t>();
    const auto flags = from_.number_to(3);
    made.enable_profiling = (flags & 1U) != 0;
    made.enable_dump_tensor = (flags & 2U) != 0;
    return made;
  }
  SavedPlan::Task task() {
    SavedPlan::Task made;
    const auto number = plan_.tasks.size();
    made.code = index_of(plan_.code);
    made.name =
        static_cast<std::uint32_t>(from_.number_to(std::min<std::size_t>(plan_.names.size(), UINT32_MAX)));
    const auto flags = static_cast<std::uint8_t>(from_.number_to(all_flags));
    made.is_group = (flags & is_group) != 0;
    made.is_idempotent = (flags & is_idempotent) != 0;
    made.priority = from_.signed_number();
    made.blocks = small();
    if ((flags & has_target) != 0) made.target = from_.signed_number();
    if ((flags & has_deadline) != 0) made.deadline = from_.signed_number();
    if ((flags & has_attempts) != 0) made.attempts = from_.signed_number();
    if ((flags & has_config) != 0) made.config = config();
    std::size_t members = 1;
    if (made.is_group) {
      members = from_.count(3);
      repeat(made.chips, 1, [this] { return within<int>(); });
    }
    for (; members > 0 && from_.fine(); --members) made.members.push_back(member());
    repeat(made.after, 1, [&] {
      if (number == 0) return static_cast<std::uint32_t>(from_.fail());
      return static_cast<std::uint32_t>(number - 1 - from_.number_to(number - 1));
    });
    return made;
  }

  PlanReader from_;
  SavedPlan plan_;
};

Error not_a_plan(runtime::Errc code, const std::string& what) {
  return {code, what, "save the plan again; another version of troupe may have written it"};
}

}  // namespace

std::vector<std::byte> encode(const SavedPlan& plan) {
  PlanWriter to;
  to.text(plan.name);
  to.number(plan.layouts.size());
  for (const auto& layout : plan.layouts) {
    to.byte(static_cast<std::uint8_t>(layout.dtype));
    to.byte(layout.dims);
    for (std::size_t d = 0; d < layout.dims; ++d) to.number(layout.shape[d]);
    for (std::size_t d = 0; d < layout.dims; ++d) to.number(layout.strides[d]);
  }
  to.number(plan.parameters.size());
  for (const auto& it : plan.parameters) {
    to.byte(static_cast<std::uint8_t>((it.is_tensor ? 1 : 0) | (it.is_slot ? 2 : 0)));
    if (it.is_tensor) {
      to.number(it.memory);
      to.number(it.layout);
      to.number(it.buffer_bytes);
      to.number(it.offset);
    } else {
      to.byte(static_cast<std::uint8_t>(it.scalar.kind));
      to.number(it.scalar.word);
    }
  }
  to.number(plan.intermediates.size());
  for (const auto layout : plan.intermediates) to.number(layout);
  to.number(plan.code.size());
  for (const auto& code : plan.code) {
    to.byte(static_cast<std::uint8_t>(code.kind));
    to.byte(static_cast<std::uint8_t>(code.data_task));
    if (code.data_task != DataTask::none) continue;
    to.text(code.name);
    to.raw(std::as_bytes(std::span(code.digest.bytes)));
  }
  to.number(plan.names.size());
  for (const auto& name : plan.names) to.text(name);
  to.number(plan.tasks.size());
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) put(to, plan.tasks[i], i);
  const auto body = to.take();

  PlanWriter file;
  file.raw(std::as_bytes(std::span(first_bytes)));
  file.byte(version);
  const auto digest = runtime::sha256(body);
  file.raw(std::as_bytes(std::span(digest.bytes)));
  file.raw(body);
  return file.take();
}

Result<SavedPlan> decode_plan_body(std::span<const std::byte> body) {
  if (auto plan = Decoder(body).decode()) return *std::move(plan);
  return not_a_plan(runtime::Errc::wire_malformed, "a plan whose parts contradict each other");
}

Result<SavedPlan> decode_plan(std::span<const std::byte> file) {
  const auto begins = std::as_bytes(std::span(first_bytes)).first(std::min(file.size(), first_bytes.size()));
  if (!std::equal(begins.begin(), begins.end(), file.begin()))
    return not_a_plan(runtime::Errc::wire_version, "no plan of troupe");
  if (file.size() < plan_head_bytes)
    return not_a_plan(runtime::Errc::wire_truncated, "the beginning of a plan alone");
  if (const auto found = static_cast<std::uint8_t>(file[first_bytes.size()]); found != version) {
    return not_a_plan(runtime::Errc::wire_version, "a plan of version " + std::to_string(found) +
                                                       "; this troupe reads version " +
                                                       std::to_string(version));
  }
  const auto body = file.subspan(plan_head_bytes);
  const auto digest = runtime::sha256(body);
  const auto wanted = std::as_bytes(std::span(digest.bytes));
  if (!std::equal(wanted.begin(), wanted.end(), file.begin() + first_bytes.size() + 1))
    return not_a_plan(runtime::Errc::wire_malformed, "a plan with bytes missing, or other ones than it had");
  return decode_plan_body(body);
}

Result<SavedPlan> read_plan(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> bytes;
  constexpr std::size_t piece = 1U << 16U;
  while (file && bytes.size() <= largest_file) {
    const auto before = bytes.size();
    bytes.resize(before + piece);
    file.read(bytes.data() + before, piece);
    bytes.resize(before + static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) {
    const int why = errno;
    return Error(Errc::cannot_read,
                 "cannot read the plan in \"" + path + "\": " +
                     (bytes.size() > largest_file ? "it is larger than any plan"
                      : why != 0                  ? std::generic_category().message(why)
                                                  : "read failed"),
                 "plan.save(\"…\") writes one");
  }
  auto plan = decode_plan(std::as_bytes(std::span(bytes)));
  if (!plan) {
    const auto& error = plan.error();
    return Error(error.code(), "\"" + path + "\" is " + error.message(), error.hint());
  }
  return plan;
}

}  // namespace troupe::actors
