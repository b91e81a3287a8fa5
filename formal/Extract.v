(** The checker as an OCaml program. Integers become those of zarith, [nat] becomes [int]; ocaml/integers.ml has what
    Coq's functions are there, edge cases included. *)

From Coq Require Import Extraction ExtrOcamlBasic ZArith List.
From Compact Require Import Spec.Model Spec.General Kernel General.Steps General.MaxOfK.

Extract Inductive nat => "int" ["0" "Stdlib.succ"] "(fun zero next n -> if n = 0 then zero () else next (n - 1))".
Extract Constant Init.Nat.add => "( + )".
Extract Constant Init.Nat.sub => "(fun (n : int) m -> if n > m then n - m else 0)".
Extract Constant Init.Nat.mul => "( * )".
Extract Constant Nat.eqb => "(fun (n : int) m -> n = m)".
Extract Constant Nat.leb => "(fun (n : int) m -> n <= m)".
Extract Constant Nat.ltb => "(fun (n : int) m -> n < m)".

Extract Inductive positive => "Integers.t" ["Integers.double_plus_1" "Integers.double" "Integers.one"] "Integers.match_positive".
Extract Inductive Z => "Integers.t" ["Integers.zero" "" "Integers.neg"] "Integers.match_integer".

Extract Constant Z.add => "Integers.add".
Extract Constant Z.sub => "Integers.sub".
Extract Constant Z.mul => "Integers.mul".
Extract Constant Z.opp => "Integers.neg".
Extract Constant Z.abs => "Integers.abs".
Extract Constant Z.min => "Integers.min".
Extract Constant Z.max => "Integers.max".
Extract Constant Z.eqb => "Integers.equal".
Extract Constant Z.leb => "Integers.leq".
Extract Constant Z.ltb => "Integers.lt".
Extract Constant Z.div => "Integers.div".
Extract Constant Z.modulo => "Integers.modulo".
Extract Constant Z.shiftl => "Integers.shiftl".
Extract Constant Z.shiftr => "Integers.shiftr".
Extract Constant Z.land => "Integers.logand".
Extract Constant Z.lor => "Integers.logor".
Extract Constant Z.testbit => "Integers.testbit".
Extract Constant Z.ones => "Integers.ones".
Extract Constant Z.log2 => "Integers.log2".
Extract Constant Z.sqrt => "Integers.sqrt".
Extract Constant Z.pow => "Integers.pow".
Extract Constant Z.of_nat => "Integers.of_int".
Extract Constant Z.to_nat => "Integers.to_int".

Extraction "build/checked" check check_regions check_general.
