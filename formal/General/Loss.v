(** rules.md, expected_loss: a mean from what weighs how much below each of several bounds. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Compact Require Import Spec.Model Spec.General.
Import ListNotations.
Open Scope R_scope.

Section Sums.
Context {A : Type} (W : A -> R).

Definition sum_over (f : A -> R) (xs : list A) : R := fold_right (fun x rest => W x * f x + rest) 0 xs.

Lemma sum_over_le : forall f g xs, Forall (fun x => 0 <= W x) xs -> (forall x, In x xs -> f x <= g x) -> sum_over f xs <= sum_over g xs.
Proof.
  intros f g xs natural. induction natural as [|x xs N _ IH]; intros less; [cbn; lra|]. cbn [sum_over fold_right]. fold (sum_over f xs) (sum_over g xs).
  specialize (IH (fun y I => less y (or_intror I))). pose proof (less x (or_introl eq_refl)). nra.
Qed.

Lemma sum_over_plus : forall f g c xs, sum_over (fun x => f x + c * g x) xs = sum_over f xs + c * sum_over g xs.
Proof. intros f g c. unfold sum_over. induction xs as [|x xs IH]; cbn [fold_right]; [ring|]. rewrite IH. ring. Qed.

Lemma sum_over_scale : forall c f xs, sum_over (fun x => c * f x) xs = c * sum_over f xs.
Proof. intros c f. unfold sum_over. induction xs as [|x xs IH]; cbn [fold_right]; [ring|]. rewrite IH. ring. Qed.

Lemma sum_over_app : forall f a b, sum_over f (a ++ b) = sum_over f a + sum_over f b.
Proof. intros f a b. unfold sum_over. induction a as [|x a IH]; cbn [fold_right app]; [ring|]. rewrite IH. ring. Qed.

(** Different members. *)
Lemma sum_over_incl : forall f ys xs, Forall (fun x => 0 <= W x) xs -> (forall x, 0 <= f x) -> NoDup ys -> incl ys xs -> sum_over f ys <= sum_over f xs.
Proof.
  intros f. induction ys as [|y ys IH]; intros xs natural nonneg U inside.
  - rewrite Forall_forall in natural. cbn [sum_over fold_right]. induction xs as [|x xs IHx]; cbn [sum_over fold_right]; [lra|]. fold (sum_over f xs).
    assert (0 <= sum_over f xs) by (apply IHx; [intros; apply natural; now right | intros z []]). pose proof (natural x (or_introl eq_refl)). pose proof (nonneg x). nra.
  - inversion U as [|? ? new U']; subst. destruct (in_split y xs (inside y (or_introl eq_refl))) as (a & b & ->).
    apply Forall_app in natural. destruct natural as [Na Nb]. inversion Nb as [|? ? Ny Nb']; subst.
    cbn [sum_over fold_right]. fold (sum_over f ys). rewrite sum_over_app. cbn [sum_over fold_right]. fold (sum_over f b).
    assert (G : sum_over f ys <= sum_over f (a ++ b)).
    { apply IH; [now apply Forall_app | exact nonneg | exact U'|]. intros z I. specialize (inside z (or_intror I)).
      apply in_app_or in inside. apply in_or_app. destruct inside as [J|[<-|J]]; [now left | contradiction | now right]. }
    rewrite sum_over_app in G. lra.
Qed.
End Sums.

(** What is at most a bound. *)
Definition below {A : Type} (f : A -> R) (bound : R) (x : A) : R := if Rle_dec (f x) bound then 1 else 0.

(** Bounds, the largest first, and at least what weighs that much lies below each. *)
Fixpoint stairs (l : list (R * Z)) : R :=
  match l with [] => 0 | (bound, n) :: rest => bound * IZR (n - match rest with [] => 0 | (_, n') :: _ => n' end)%Z + stairs rest end.

Fixpoint falling (l : list (R * Z)) : Prop :=
  match l with (bound, _) :: rest => match rest with [] => True | (bound', _) :: _ => bound' <= bound end /\ falling rest | [] => True end.

Section Mean.
Context {A : Type} (W f : A -> R) (xs : list A).
Hypothesis natural : Forall (fun x => 0 <= W x) xs.
Notation total := (sum_over W (fun _ => 1) xs).

Lemma below_01 : forall bound x, 0 <= below f bound x <= 1.
Proof. intros bound x. unfold below. destruct (Rle_dec _ _); lra. Qed.

Lemma cut_mean : forall l bound n, falling ((bound, n) :: l) -> Forall (fun one => IZR (snd one) <= sum_over W (below f (fst one)) xs) l ->
  sum_over W (fun x => Rmin (f x) bound) xs <= bound * (total - IZR n) + stairs ((bound, n) :: l).
Proof.
  induction l as [|[bound' n'] l IH]; intros bound n fall each.
  - cbn [stairs]. rewrite Z.sub_0_r. apply Rle_trans with (sum_over W (fun _ => bound * 1) xs).
    + apply sum_over_le; [exact natural|]. intros x _. pose proof (Rmin_r (f x) bound). lra.
    + rewrite sum_over_scale. lra.
  - destruct fall as [less fall]. inversion each as [|? ? many each']; subst. cbn [fst snd] in many. specialize (IH bound' n' fall each').
    apply Rle_trans with (sum_over W (fun x => Rmin (f x) bound' + (bound - bound') * (1 + (-1) * below f bound' x)) xs).
    + apply sum_over_le; [exact natural|]. intros x _. unfold below. destruct (Rle_dec (f x) bound') as [yes|no].
      * rewrite !Rmin_left by lra. lra.
      * pose proof (Rmin_r (f x) bound). rewrite (Rmin_right (f x) bound') by lra. lra.
    + rewrite sum_over_plus, sum_over_plus. cbn [stairs] in *. rewrite minus_IZR. nra.
Qed.

(** All lie below the first. *)
Theorem mean_by_stairs : forall l bound n, falling ((bound, n) :: l) -> 0 <= bound -> Forall (fun x => 0 < W x) xs ->
  Forall (fun one => IZR (snd one) <= sum_over W (below f (fst one)) xs) ((bound, n) :: l) -> total <= IZR n ->
  sum_over W f xs <= stairs ((bound, n) :: l).
Proof.
  intros l bound n fall nonneg pos each all. inversion each as [|? ? many each']; subst. cbn [fst snd] in many.
  assert (under : forall x, In x xs -> f x <= bound).
  { assert (G : forall ys, Forall (fun x => 0 < W x) ys -> sum_over W (fun _ => 1) ys <= sum_over W (below f bound) ys -> forall x, In x ys -> f x <= bound).
    { clear. induction ys as [|y ys IH]; intros pos E x I; [destruct I|]. inversion pos as [|? ? P P']; subst.
      cbn [sum_over fold_right] in E. fold (sum_over W (fun _ => 1) ys) (sum_over W (below f bound) ys) in E.
      assert (rest : sum_over W (below f bound) ys <= sum_over W (fun _ => 1) ys).
      { apply sum_over_le; [revert P'; apply Forall_impl; intros; lra | intros; apply below_01]. }
      pose proof (below_01 bound y) as B. destruct I as [<-|I].
      - unfold below in *. destruct (Rle_dec (f y) bound) as [yes|no]; [exact yes | exfalso; nra].
      - apply IH; [exact P' | nra | exact I]. }
    apply G; [exact pos | lra]. }
  apply Rle_trans with (sum_over W (fun x => Rmin (f x) bound) xs).
  - apply sum_over_le; [exact natural|]. intros x I. rewrite Rmin_left by auto. lra.
  - pose proof (cut_mean l bound n fall each'). nra.
Qed.
End Mean.
