// For the rule foreign-bytes: c = a + b + s, from OpenCL C, by the words that every kernel from bytes gets. A block is a
// work group, a lane a work item.
typedef struct {
  ulong address, size, owner_task, start_offset;
  int version;
  uint ndims;
  uchar dtype, manual_dep, is_contiguous, address_space;
  uint shapes[5];
} tensor;

kernel void kernel_entry(global const long* words) {
  global const tensor* a = (global const tensor*)words[0];
  global const tensor* b = (global const tensor*)words[1];
  global const tensor* c = (global const tensor*)words[2];
  const float s = as_float((int)words[3]);
  for (uint i = get_global_id(0); i < c->shapes[0]; i += get_global_size(0)) {
    ((global float*)c->address)[c->start_offset + i] =
        ((global const float*)a->address)[a->start_offset + i] + ((global const float*)b->address)[b->start_offset + i] + s;
  }
}
