(** The theorem: if the checker accepts, the claim is true of the model as a function of real numbers. *)

From Coq Require Import Reals ZArith List.
From Compact Require Import Spec.Model Integer.Tables Kernel.

Theorem accepted_claims_are_true :
  forall (w : weights) (budget : Z) (numerator denominator : Z) (steps : list step) (right missed : Z),
  check w budget (numerator, denominator) steps right missed = Verified ->
  let margin := (IZR numerator / IZR denominator)%R in
  at_least right (correct (model_of w) margin) /\ at_least missed (wrong (model_of w) margin).
Proof. intros w budget numerator denominator. exact (check_sound w budget (numerator, denominator)). Qed.
