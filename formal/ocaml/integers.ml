(* Coq's functions on integers, done by zarith; test_integers.ml compares the edge cases with what Coq computes. *)

type t = Z.t

let zero = Z.zero
let one = Z.one
let double = fun n -> Z.shift_left n 1
let double_plus_1 n = Z.succ (Z.shift_left n 1)
let match_positive odd even unit n =
  if Z.equal n Z.one then unit () else if Z.is_odd n then odd (Z.shift_right n 1) else even (Z.shift_right n 1)
let match_integer nothing positive negative n =
  let sign = Z.sign n in
  if sign = 0 then nothing () else if sign > 0 then positive n else negative (Z.neg n)

let add = Z.add
let sub = Z.sub
let mul = Z.mul
let neg = Z.neg
let abs = Z.abs
let min = Z.min
let max = Z.max
let equal = Z.equal
let leq = Z.leq
let lt = Z.lt

(* Rounded down; by 0 it is 0 in Coq. *)
let div a b = if Z.sign b = 0 then Z.zero else Z.fdiv a b

let modulo a b = if Z.sign b = 0 then a else Z.sub a (Z.mul b (Z.fdiv a b))

(* A shift by a negative number is one in the other direction. Far to the right nothing but the sign is left; what is far
   to the left fits nowhere. *)
let shiftl n by =
  if Z.fits_int by then
    let by = Z.to_int by in
    if by >= 0 then Z.shift_left n by else Z.shift_right n (-by)
  else if Z.sign n = 0 then Z.zero
  else if Z.sign by > 0 then raise Out_of_memory
  else if Z.sign n > 0 then Z.zero
  else Z.minus_one

let shiftr n by = shiftl n (Z.neg by)
let logand = Z.logand
let logor = Z.logor
let testbit n i = if Z.sign i < 0 then false else Z.testbit n (Z.to_int i)
let ones n = Z.pred (shiftl Z.one n)
let log2 n = if Z.sign n <= 0 then Z.zero else Z.of_int (Z.numbits n - 1)
let sqrt n = if Z.sign n <= 0 then Z.zero else Z.sqrt n
let pow a n = if Z.sign n < 0 then Z.zero else Z.pow a (Z.to_int n)
let of_int = Z.of_int
let to_int n = if Z.sign n <= 0 then 0 else Z.to_int n
