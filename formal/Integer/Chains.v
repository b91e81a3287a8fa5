(** Products of several exact matrices, multiplied from the left. *)

From Coq Require Import Reals ZArith List Lia.
From Compact Require Import Spec.Model Real.Sums Real.Products Integer.Matrix.
Import ListNotations.

Definition chain (first : matrix) (factors : list matrix) : matrix := fold_left mul factors first.

(** Matrices that can be multiplied, and the function that their product stands for. *)
Inductive chain_stands_for : list matrix -> nat -> nat -> (nat -> nat -> R) -> Prop :=
| One_factor : forall A r c f, stands_for A r c f -> chain_stands_for [A] r c f
| More_factors : forall A factors r n c f g, (0 < n)%nat -> stands_for A r n f -> chain_stands_for factors n c g ->
    chain_stands_for (A :: factors) r c (product_of n f g).

Lemma stands_chain : forall factors A r c f, chain_stands_for (A :: factors) r c f -> stands_for (chain A factors) r c f.
Proof.
  induction factors as [|B factors IH]; intros A r c f C.
  - inversion C as [? ? ? ? S | ? ? ? ? ? ? ? ? ? No]; subst; [exact S | inversion No].
  - inversion C as [|? ? ? n ? g h some SA rest]; subst. change (chain A (B :: factors)) with (chain (mul A B) factors).
    inversion rest as [? ? ? ? SB | ? ? ? m ? g' h' some' SB rest']; subst.
    + apply IH. constructor. exact (stands_mul _ _ _ _ _ _ _ some SA SB).
    + apply stands_ext with (product_of m (product_of n g g') h').
      * apply IH. constructor; [exact some'| |exact rest']. exact (stands_mul _ _ _ _ _ _ _ some SA SB).
      * intros i j _ _. symmetry. apply product_assoc.
Qed.
