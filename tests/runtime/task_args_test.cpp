#include "troupe/runtime/task_args.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "troupe/runtime/call_config.hpp"
#include "troupe/runtime/limits.hpp"

namespace {

using namespace troupe::runtime;

Tensor tensor(DType dtype = DType::f32) { return Tensor::create({1, 1, 0}, 4096, 0, {4, 8}, dtype).value(); }

template <class T>
bool fails(const troupe::Result<T>& result, Errc code, std::string_view part) {
  if (result.has_value()) return false;
  INFO(result.error().what());
  CHECK(std::string(result.error().what()).find(part) != std::string::npos);
  return result.error() == code;
}

TEST_CASE("arguments keep their tags, and tensors and scalars may come in any order") {
  const TaskArgs args = TaskArgs::of(in(tensor()), scalar(2.5F), out(tensor()), scalar(std::int16_t{-1}),
                                     inout(tensor()), out_existing(tensor()), no_dep(tensor()));
  const TaskArgsView view = args.view();
  REQUIRE(view.tensors.size() == 5);
  REQUIRE(view.scalars.size() == 2);
  CHECK(view.tags[0] == Tag::in);
  CHECK(view.tags[1] == Tag::out);
  CHECK(view.tags[2] == Tag::inout);
  CHECK(view.tags[3] == Tag::out_existing);
  CHECK(view.tags[4] == Tag::no_dep);
  CHECK(from_u64<float>(view.scalars[0]) == 2.5F);
  CHECK(view.scalars[1] == 0xFFFF);
  CHECK(args.size() == 7);
  CHECK(validate(view).has_value());
}

TEST_CASE("scalars are bit copies in the low bytes of a word") {
  CHECK(to_u64(1.0F) == 0x3F800000U);
  CHECK(to_u64(-1) == 0xFFFFFFFFU);
  CHECK(to_u64(true) == 1);
  CHECK(from_u64<std::int8_t>(0xFF) == -1);
  CHECK(from_u64<std::int64_t>(to_u64(std::int64_t{-5})) == -5);
  struct Pair {
    std::int16_t a, b;
  };
  CHECK(from_u64<Pair>(to_u64(Pair{3, -4})).b == -4);
}

TEST_CASE("tags have the reference's numbers and say what they read and write") {
  CHECK(static_cast<int>(Tag::in) == 0);
  CHECK(static_cast<int>(Tag::no_dep) == 4);
  CHECK((reads(Tag::inout) && writes(Tag::inout)));
  CHECK((writes(Tag::out_existing) && !reads(Tag::out_existing)));
  CHECK((!reads(Tag::no_dep) && !writes(Tag::no_dep)));
  CHECK(name_of(Tag::out_existing) == "out_existing");
  CHECK(name_of(static_cast<Tag>(9)) == "?");
}

TEST_CASE("a core task carries 32 tensors and 16 scalars, and the next one is refused by index and name") {
  TaskArgs args(core_task_limits);
  for (std::size_t i = 0; i < limits::core_tensors; ++i) args.add(in(tensor()));
  for (std::size_t i = 0; i < limits::core_scalars; ++i) args.add(scalar(i));
  CHECK(fails(args.try_add(in(tensor()), "weights"), Errc::too_many_tensors,
              "tensor argument 32 (\"weights\")"));
  CHECK(fails(args.try_add(scalar(1)), Errc::too_many_scalars, "scalar argument 16"));
  CHECK_THROWS_AS(args.add(scalar(1)), troupe::Error);
  CHECK(args.size() == 48);
  args.clear();
  CHECK(args.size() == 0);
  CHECK(args.try_add(in(tensor())).has_value());
}

TEST_CASE("a chip task carries 256 tensors and 128 scalars, which a core task cannot") {
  TaskArgs args;
  for (std::size_t i = 0; i < 256; ++i) args.add(in(tensor()));
  for (std::size_t i = 0; i < 128; ++i) args.add(scalar(i));
  CHECK(fails(args.try_add(in(tensor())), Errc::too_many_tensors, "at most 256"));
  CHECK(fails(args.try_add(scalar(0)), Errc::too_many_scalars, "at most 128"));
  CHECK(validate(args.view()).has_value());
  CHECK(fails(validate(args.view(), core_task_limits), Errc::too_many_tensors, "tensor argument 32"));
}

TEST_CASE("arguments that no task can have are refused by index and name") {
  TaskArgs args;
  args.add(in(tensor()));
  CHECK(fails(args.try_add(in(Tensor()), "x"), Errc::invalid_args, "tensor argument 1 (\"x\") is no tensor"));
  CHECK(
      fails(args.try_add(TensorArg{tensor(), static_cast<Tag>(5)}), Errc::unknown_tag, "tensor argument 1"));
  const Tensor wanted = Tensor::unallocated({4}, DType::f32);
  CHECK(fails(args.try_add(in(wanted)), Errc::invalid_args,
              "tensor argument 1 (f32[4]) is tagged in but has no memory"));
  CHECK(fails(args.try_add(inout(wanted)), Errc::invalid_args, "inout"));
  CHECK(args.try_add(out(wanted)).has_value());
}

TEST_CASE("a view from anywhere is checked argument by argument") {
  const Tensor good = tensor();
  Tensor bad = good;
  reinterpret_cast<unsigned char*>(&bad)[72] = 77;  // its dtype
  const Tensor tensors[] = {good, good, bad};
  const Tag tags[] = {Tag::in, Tag::in, Tag::in};
  CHECK(fails(validate({tensors, tags, {}}), Errc::unknown_dtype, "tensor argument 2"));
  CHECK(fails(validate({tensors, {tags, 2}, {}}), Errc::invalid_args, "2 tags for 3 tensors"));
  const Tag odd[] = {Tag::in, static_cast<Tag>(200)};
  CHECK(fails(validate({{tensors, 2}, odd, {}}), Errc::unknown_tag, "tensor argument 1"));
}

TEST_CASE("a call configuration has the reference's defaults and refuses what no chip accepts") {
  const CallConfig defaults;
  CHECK(defaults.block_dim == 24);
  CHECK(defaults.aicpu_thread_num == 3);
  CHECK_FALSE(defaults.enable_profiling);
  CHECK_FALSE(defaults.enable_dump_tensor);
  CHECK(validate(defaults).has_value());
  const auto with = [](std::int32_t block_dim, std::int32_t threads) {
    CallConfig config;
    config.block_dim = block_dim;
    config.aicpu_thread_num = threads;
    return config;
  };
  CHECK(fails(validate(with(0, 3)), Errc::invalid_call_config, "block_dim is 0"));
  CHECK(fails(validate(with(-24, 3)), Errc::invalid_call_config, "block_dim is -24"));
  CHECK(fails(validate(with(24, 0)), Errc::invalid_call_config, "aicpu_thread_num is 0"));
  CHECK(validate(with(24, 4), {24, 4}).has_value());
  CHECK(fails(validate(with(25, 4), {24, 4}), Errc::invalid_call_config, "block_dim is 25"));
  CHECK(fails(validate(with(24, 5), {24, 4}), Errc::invalid_call_config, "aicpu_thread_num is 5"));
  CallConfig odd;
  odd.reserved[1] = 1;
  CHECK(fails(validate(odd), Errc::invalid_call_config, "reserved"));
}

}  // namespace
