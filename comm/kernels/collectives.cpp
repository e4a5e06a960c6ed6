// The collectives as device kernels; README.md lists their arguments.

#include "kernel_team.hpp"

namespace troupe::comm::kernels {

using collective::Algorithm;
using collective::Kind;
using collective::Op;

namespace {

void expect_tensors(const KernelArgs& args, std::size_t fewest, std::size_t most, const char* what) {
  if (args.tensor_count() < fewest || args.tensor_count() > most) {
    refuse("it got " + std::to_string(args.tensor_count()) + " tensor arguments, and takes " + what);
  }
}

void expect_same_type(const Array& in, const Array& out) {
  if (in.dtype != out.dtype) refuse("in and out have different element types");
}

Op operation(const KernelArgs& args) {
  const std::uint64_t op = scalar_or(args, 1, 0);
  if (op > static_cast<std::uint64_t>(Op::max)) refuse("operation " + std::to_string(op) + " does not exist");
  return static_cast<Op>(op);
}

void expect_arithmetic(DType dtype) {
  if (!collective::reducible(dtype)) {
    refuse("no arithmetic for element type " + std::string(runtime::name_of(dtype)),
           "f32, f16, bf16 and i32 can be reduced");
  }
}

std::size_t part_count(std::size_t count, const CommContext& comm) {
  return collective::near_equal(count, comm.rank_count, comm.rank).count;
}

/// The first byte of this rank's part of an array.
std::byte* own_part(const Array& whole, const CommContext& comm) {
  return whole.data + collective::near_equal(whole.count, comm.rank_count, comm.rank).first *
                          runtime::size_of(whole.dtype);
}

}  // namespace

TROUPE_KERNEL(all_reduce)(KernelArgs& args) {
  expect_tensors(args, 2, 3, "(in, out, workspace), or (data, workspace)");
  const Array in = array(args, 0);
  const Array out = array(args, args.tensor_count() - 2);
  expect_same_type(in, out);
  expect_arithmetic(in.dtype);
  if (in.count != out.count) refuse("in and out have different sizes");
  const std::uint64_t algorithm = scalar_or(args, 2, 0);
  if (algorithm > static_cast<std::uint64_t>(Algorithm::bidirectional_ring)) {
    refuse("algorithm " + std::to_string(algorithm) + " does not exist");
  }
  perform(args,
          {.kind = Kind::all_reduce,
           .algorithm = static_cast<Algorithm>(algorithm),
           .work = {in.data, out.data, in.count, in.dtype, operation(args)}},
          array(args, args.tensor_count() - 1), {in, out});
}

TROUPE_KERNEL(all_gather)(KernelArgs& args) {
  expect_tensors(args, 2, 3, "(in, out, workspace), or (data, workspace) with every part in place");
  const CommContext& comm = context(args);
  const bool in_place = args.tensor_count() == 2;
  const Array out = array(args, in_place ? 0 : 1);
  Array in{own_part(out, comm), part_count(out.count, comm), out.dtype};
  if (!in_place) {
    in = array(args, 0);
    expect_same_type(in, out);
    if (in.count != part_count(out.count, comm)) {
      refuse("in has " + std::to_string(in.count) + " elements; this rank's part of out has " +
             std::to_string(part_count(out.count, comm)));
    }
  }
  perform(args,
          {.kind = Kind::all_gather, .in_place = in_place, .work = {in.data, out.data, out.count, out.dtype}},
          array(args, args.tensor_count() - 1), {in, out});
}

TROUPE_KERNEL(reduce_scatter)(KernelArgs& args) {
  expect_tensors(args, 2, 3, "(in, out, workspace), or (data, workspace) for this rank's part in place");
  const CommContext& comm = context(args);
  const Array in = array(args, 0);
  expect_arithmetic(in.dtype);
  Array out{own_part(in, comm), part_count(in.count, comm), in.dtype};
  if (args.tensor_count() == 3) {
    out = array(args, 1);
    expect_same_type(in, out);
    if (out.count != part_count(in.count, comm)) {
      refuse("out has " + std::to_string(out.count) + " elements; this rank's part of in has " +
             std::to_string(part_count(in.count, comm)));
    }
  }
  perform(args,
          {.kind = Kind::reduce_scatter, .work = {in.data, out.data, in.count, in.dtype, operation(args)}},
          array(args, args.tensor_count() - 1), {in, out});
}

TROUPE_KERNEL(broadcast)(KernelArgs& args) {
  expect_tensors(args, 2, 2, "(data, workspace)");
  const Array data = array(args, 0);
  const std::uint64_t root = scalar_or(args, 1, 0);
  if (root >= context(args).rank_count) refuse("root " + std::to_string(root) + " is no rank");
  perform(args,
          {.kind = Kind::broadcast,
           .root = static_cast<std::uint32_t>(root),
           .work = {data.data, data.data, data.count, data.dtype}},
          array(args, 1), {data});
}

TROUPE_KERNEL(all_to_all)(KernelArgs& args) {
  expect_tensors(args, 3, 3, "(in, out, workspace)");
  const CommContext& comm = context(args);
  const Array in = array(args, 0);
  const Array out = array(args, 1);
  expect_same_type(in, out);
  if (in.count != out.count || in.count % comm.rank_count != 0) {
    refuse("in and out must have the same size, a multiple of the rank count");
  }
  perform(args, {.kind = Kind::all_to_all, .work = {in.data, out.data, in.count / comm.rank_count, in.dtype}},
          array(args, 2), {in, out});
}

TROUPE_KERNEL(barrier)(KernelArgs& args) {
  expect_tensors(args, 1, 1, "(workspace)");
  perform(args, {.kind = Kind::barrier}, array(args, 0), {});
}

}  // namespace troupe::comm::kernels

TROUPE_MODULE("troupe_collectives");
