(** rules.md, score_product_spread: a low-rank part of the scores is kept; the residual is cut into two factors, which are
    not multiplied. *)

From Coq Require Import Reals ZArith List Lia Bool.
From Compact Require Import Spec.Model Real.Sums Real.Products Integer.Matrix Integer.Tables Integer.Spreads Integer.Chains Integer.Splitting Facts.
Import ListNotations.
Open Scope Z_scope.

Definition product_spreads (A B : matrix) : bounds := times_spreads A (spreads_of B).

(** [A B] as [(A onto) (along B) + (A - A onto along) B]. *)
Definition through_basis (A B : matrix) (basis : option projector) : bounds :=
  match basis with
  | None => product_spreads A B
  | Some p =>
      let P := peel A p in
      row_by_row Z.add (product_spreads (first P) (mul (second P) B)) (product_spreads (rest P) B)
  end.

Definition spread_bounds (A B : matrix) (mean : bool) (basis : option projector) : bounds :=
  if mean then with_mean (mul (mean_row A) B) (length (rows A)) (through_basis (centred A) B basis) else through_basis A B basis.

(** The smallest bounds over all places to cut a product, of which [A] is before the first one. *)
Fixpoint over_cuts (mean : bool) (A first : matrix) (more : list matrix) (bases : list projector) : outcome bounds :=
  let basis := hd_error bases in
  require (match basis with None => true | Some p => projector_fits p (columns A) end) wrong_shape
  (let here := spread_bounds A (chain first more) mean basis in
   match more with
   | [] => Fine here
   | next :: more' =>
       match over_cuts mean (mul A first) next more' (tl bases) with
       | Refused why => Refused why
       | Fine others => Fine (row_by_row Z.min here others)
       end
   end).

Definition score_product_spread (w : weights) (projectors bases : list projector) (mean : bool) : outcome fact :=
  match split_scores w projectors with
  | Refused why => Refused why
  | Fine s =>
      let cuts := length (more_factors s) in
      require (Nat.eqb (length bases) 0 || Nat.eqb (length bases) cuts) wrong_shape
      match more_factors s with
      | [] => Refused wrong_shape
      | next :: more =>
          match over_cuts mean (first_factor s) next more bases with
          | Refused why => Refused why
          | Fine error => Fine (approximation (kept s) error)
          end
      end
  end.

Section Bounds.
Variables (r n c : nat) (g : nat -> nat -> R) (B : matrix).
Hypotheses (r_some : (0 < r)%nat) (n_some : (0 < n)%nat) (SB : stands_for B n c g).

Lemma through_basis_right : forall A f basis, stands_for A r n f ->
  match basis with None => true | Some p => projector_fits p n end = true -> bounded r c (product_of n f g) (through_basis A B basis).
Proof.
  intros A f [p|] SA fits; cbn [through_basis].
  - destruct (peel_right _ _ _ _ _ n_some SA fits) as (u & z & f' & some & SU & SZ & SF & same).
    apply bounded_ext with (fun i j => product_of (rank p) u (product_of n z g) i j + product_of n f' g i j)%R.
    + apply bounded_sum; apply bounded_times; try apply bounded_by_spreads; try assumption.
      exact (stands_mul _ _ _ _ _ _ _ n_some SZ SB).
    + intros i j I J. rewrite (split_first n (rank p) f f' u z) by (intros; now apply same). ring.
  - apply bounded_times; [exact SA | now apply bounded_by_spreads].
Qed.

Lemma spread_bounds_right : forall A f mean basis, stands_for A r n f ->
  match basis with None => true | Some p => projector_fits p n end = true -> bounded r c (product_of n f g) (spread_bounds A B mean basis).
Proof.
  intros A f [] basis SA fits; cbn [spread_bounds]; [|now apply through_basis_right].
  rewrite (proj1 (proj1 SA)). apply bounded_with_mean with (mean_row A).
  - apply (stands_mul _ _ _ _ _ _ _ n_some); [|exact SB]. apply stands_number. now apply mean_row_shape with (1 := proj1 SA).
  - apply through_basis_right; [|exact fits]. now apply stands_centred.
Qed.
End Bounds.

Lemma over_cuts_right : forall mean more A first bases r n c f g error, (0 < r)%nat -> (0 < n)%nat ->
  stands_for A r n f -> chain_stands_for (first :: more) n c g -> over_cuts mean A first more bases = Fine error ->
  bounded r c (product_of n f g) error.
Proof.
  intros mean. induction more as [|next more IH]; intros A first bases r n c f g error r_some n_some SA C E; cbn [over_cuts] in E;
    apply require_fine in E; destruct E as [fits E]; rewrite (columns_of A r n (proj1 SA) r_some) in fits.
  - apply fine_eq in E. subst error. apply spread_bounds_right; try assumption. exact (stands_chain [] _ _ _ _ C).
  - destruct (over_cuts mean (mul A first) next more (tl bases)) as [others|] eqn:O; [|discriminate]. apply fine_eq in E. subst error.
    apply bounded_least.
    + apply spread_bounds_right; try assumption. exact (stands_chain _ _ _ _ _ C).
    + inversion C as [|? ? ? m ? h g' some SF rest]; subst.
      apply bounded_ext with (product_of m (product_of n f h) g').
      * apply IH with (5 := O); try assumption. exact (stands_mul _ _ _ _ _ _ _ n_some SA SF).
      * intros. symmetry. apply product_assoc.
Qed.

Theorem score_product_spread_sound : forall w margin projectors bases mean f, well_formed w = true ->
  score_product_spread w projectors bases mean = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin projectors bases mean f good E. unfold score_product_spread in E.
  destruct (split_scores w projectors) as [s|] eqn:S; [|discriminate]. apply require_fine in E. destruct E as [_ E].
  destruct (split_scores_right w projectors s good S) as (g & factors & kept_right).
  destruct (more_factors s) as [|next more]; [discriminate|].
  destruct (over_cuts _ _ _ _ _) as [error|] eqn:O; [|discriminate]. apply fine_eq in E. subst f.
  apply approximation_sound with (1 := kept_right).
  inversion factors as [|? ? ? n ? a b some SA rest]; subst.
  apply over_cuts_right with (5 := O); try assumption. apply (sizes w good).
Qed.
